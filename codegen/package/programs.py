"""The programs of a package as tables: rows for C, rules for make and CMake.

A package with one program builds it as it is. Of several, each has sources and flags of its own;
those whose flags the compiler at hand lacks are left out, and the rest is chosen from at run time.
"""

from __future__ import annotations

import re

from .content import PackageContent, Program
from .cpu_features import feature_rows

PROTOTYPE = (
    "void {symbol}_program(const void *const *inputs, void *const *outputs,\n"
    "    const void *const *weights, unsigned char *arena);\n"
)


def macro_name(level: str) -> str:
    """A level as part of a C or make identifier, such as X86_64_V3."""
    return re.sub(r"[^A-Z0-9]", "_", level.upper())


def prototypes(content: PackageContent) -> str:
    """Declarations of the functions that kernels are called by."""
    return "".join(PROTOTYPE.format(symbol=program.symbol) for program in content.programs)


def program_tables(content: PackageContent) -> str:
    """C: what each program needs of the CPU, which weights it reads, and the table of programs."""
    several = len(content.programs) > 1
    tables, rows = [], []
    for number, program in enumerate(content.programs):
        table, row = _tables(content, number, program)
        if several:
            guard = f"{content.name.upper()}_WITHOUT_{macro_name(program.level)}"
            table, row = (f"#ifndef {guard}\n{text}#endif\n" for text in (table, row))
        tables.append(table)
        rows.append(row)
    return "".join([*tables, "\nstatic const program PROGRAMS[] = {\n", *rows, "};\n"])


def _tables(content: PackageContent, number: int, program: Program) -> tuple[str, str]:
    positions = ", ".join(map(str, content.weight_positions(number)))
    weights, features = "NULL", "NULL"
    text = ""
    if positions:
        weights = f"WEIGHTS_{number}"
        text += f"static const size_t {weights}[] = {{{positions}}};\n"
    if program.features:
        features = f"FEATURES_{number}"
        text += f"static const cpu_feature {features}[] = {{\n{feature_rows(program.features)}}};\n"
    row = (
        f'    {{"{program.level}", {features}, {len(program.features)}, '
        f"{weights}, {len(program.weights)}, {program.symbol}_program}},\n"
    )
    return text, row


def shared_sources(content: PackageContent) -> list[str]:
    """C files under `src/` that belong to no program."""
    return [f"{content.name}_api.c", f"{content.name}_weights.c"]


def program_sources(content: PackageContent, program: Program) -> list[str]:
    """C files under `src/` of one program."""
    folder = f"{program.level}/" if len(content.programs) > 1 else ""
    return sorted(f"{folder}{file}" for file in program.sources if file.endswith(".c"))


def make_rules(content: PackageContent) -> str:
    """Makefile lines that add each program to OBJECTS, or leave it out."""
    upper = content.name.upper()
    if len(content.programs) == 1:
        return f"OBJECTS += {_objects(content, content.programs[0])}\n"
    parts = []
    for program in content.programs:
        flags = f"ARCH_FLAGS_{macro_name(program.level)}"
        objects = _objects(content, program)
        parts.append(
            f"{flags} ?= {' '.join(program.arch_flags)}\n"
            f"ifeq ($(call accepts,$({flags})),yes)\n"
            f"OBJECTS += {objects}\n"
            f"{objects}: ARCH_FLAGS := $({flags})\n"
            f"else\n"
            f"FLAGS += -D{upper}_WITHOUT_{macro_name(program.level)}\n"
            f"endif\n"
        )
    return "\n".join(parts)


def _objects(content: PackageContent, program: Program) -> str:
    return " ".join(f"build/{file[:-2]}.o" for file in program_sources(content, program))


def cmake_rules(content: PackageContent) -> str:
    """CMake lines that add each program to the library, or leave it out."""
    name, upper = content.name, content.name.upper()
    parts = []
    for program in content.programs:
        files = "\n".join(f"  src/{file}" for file in program_sources(content, program))
        if len(content.programs) == 1:
            parts.append(f"target_sources({name} PRIVATE\n{files})\n")
            continue
        macro = macro_name(program.level)
        flags = " ".join(program.arch_flags)
        parts.append(
            f'set(CMAKE_REQUIRED_FLAGS "{flags}")\n'
            f'check_c_source_compiles("int main(void) {{ return 0; }}" {upper}_HAS_{macro})\n'
            f"unset(CMAKE_REQUIRED_FLAGS)\n"
            f"if({upper}_HAS_{macro})\n"
            f"  set(FILES\n{files})\n"
            f"  target_sources({name} PRIVATE ${{FILES}})\n"
            f'  set_source_files_properties(${{FILES}} PROPERTIES COMPILE_FLAGS "{flags}")\n'
            f"else()\n"
            f"  target_compile_definitions({name} PRIVATE {upper}_WITHOUT_{macro})\n"
            f"endif()\n"
        )
    return "\n".join(parts)
