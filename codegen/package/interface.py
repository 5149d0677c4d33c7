"""The fixed parts of a package: templates filled with a model's name, tables and sizes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from ...dialects.errors import PackageError
from ...dialects.sizes import Size
from .content import PackageContent, TensorSignature
from .element_types import element_type
from .inline_weights import inline_weights_source
from .programs import (
    cmake_rules,
    make_rules,
    program_sources,
    program_tables,
    prototypes,
    shared_sources,
)
from .size_interface import size_interface
from .stream_interface import stream_interface

TEMPLATES = Path(__file__).with_name("templates")
# Asks the compiler on the machine where the package is built.
DETECT_OPENMP = (
    "$(shell echo 'int main(void) { return 0; }' | "
    "$(CC) -fopenmp -x c - -o /dev/null 2>/dev/null && echo -fopenmp)"
)
PLACEHOLDER = re.compile(r"@([A-Za-z_]+)@")


def fill_template(file: str, values: Mapping[str, str]) -> str:
    """The text of a template with every `@word@` replaced; PackageError for an unknown word."""

    def value_of(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise PackageError(f"template {file}: no value for @{match[1]}@")
        return values[match[1]]

    return PLACEHOLDER.sub(value_of, (TEMPLATES / file).read_text(encoding="utf-8"))


def c_string(text: str) -> str:
    """A C string literal holding the UTF-8 bytes of `text`."""
    escaped = []
    for byte in text.encode():
        char = chr(byte)
        if char in '"\\?':
            escaped.append(f"\\{char}")
        elif 0x20 <= byte < 0x7F:
            escaped.append(char)
        else:
            escaped.append(f"\\{byte:03o}")
    return '"' + "".join(escaped) + '"'


def template_values(content: PackageContent, version: str) -> dict[str, str]:
    """What each `@word@` of the templates stands for."""
    name, upper = content.name, content.name.upper()
    is_single = len(content.programs) == 1
    has_file = bool(content.weights) and not content.inline_weights
    return {
        "name": name,
        "NAME": upper,
        "underline": "=" * len(name),
        "version": version,
        "target": content.target,
        "std": content.standard,
        "std_number": content.standard.removeprefix("c"),
        "num_inputs": str(len(content.inputs)),
        "num_outputs": str(len(content.outputs)),
        "num_weights": str(len(content.weights)),
        # ISO C has no arrays without elements, so empty tables keep one unused slot.
        "input_slots": str(max(1, len(content.inputs))),
        "output_slots": str(max(1, len(content.outputs))),
        "weight_slots": str(max(1, len(content.weights))),
        "arena_bytes": str(content.arena_bytes),
        "max_rank": str(content.max_rank),
        **size_interface(content),
        **stream_interface(content),
        "input_table": _tensor_table(content.inputs, upper),
        "output_table": _tensor_table(content.outputs, upper),
        "tolerance_table": _tolerance_table(content),
        "weight_table": _weight_table(content),
        "weight_rank": str(max([1, *(a.ndim for a in content.weights.values())])),
        "weight_name_bytes": str(max([1, *(len(s.encode()) + 1 for s in content.weights)])),
        "weights_use": weights_use(content),
        "weights_line": (
            "weights.safetensors   the weights, packed as the kernels read them"
            if has_file
            else f"src/{name}_weights.c    the weights, as constant arrays"
        ),
        "signature": _signature_text(content),
        "arena_functions": fill_template(
            "arena_static.c" if content.static_arena else "arena_heap.c",
            {"name": name, "NAME": upper},
        ),
        **device_interface(content),
        "weight_bytes": ", ".join(str(a.nbytes) for a in content.weights.values()) or "0",
        "source_list": f"src/{name}_weights.c",
        "cuda_list": " ".join(f"cuda/{f}" for f in sorted(cuda_files(content))),
        "openmp": DETECT_OPENMP if content.standard != "c99" else "",
        "argument_slots": str(max([1, *(len(p.weights) for p in content.programs)])),
        "arch_flags": " ".join(content.programs[0].arch_flags) if is_single else "",
        "arch_variable": "ARCH_FLAGS" if is_single else "ARCH_FLAGS_<LEVEL>",
        "prototypes": prototypes(content),
        "program_tables": program_tables(content),
        "shared_objects": " ".join(f"build/{f[:-2]}.o" for f in shared_sources(content)),
        "programs": make_rules(content),
        "cmake_sources": "\n".join(f"  src/{f}" for f in shared_sources(content)),
        "programs_cmake": cmake_rules(content),
        "install_weights": (
            f"install(FILES weights.safetensors DESTINATION ${{CMAKE_INSTALL_DATADIR}}/{name})\n"
            if has_file
            else ""
        ),
        "levels_line": (
            ""
            if is_single
            else "\nIt holds code for several instruction sets; the best that the CPU runs is\n"
            f"chosen at run time: {', '.join(p.level for p in content.programs)}.\n"
        ),
    }


def support_files(content: PackageContent, version: str) -> dict[str, str]:
    """Path in the package -> text, of everything that is not a kernel, IR or data."""
    name = content.name
    values = template_values(content, version)
    if content.weights and not content.inline_weights:
        file = "weights_stream.c" if content.streamed else "weights_file.c"
        weights_source = fill_template(file, values)
    else:
        weights_source = inline_weights_source(content)
    shared = {
        f"include/{name}.h": fill_template("model.h", values),
        f"src/{name}_private.h": fill_template("private.h", values),
        f"src/{name}_weights.c": weights_source,
        "test/check.c": fill_template("check.c", values),
    }
    if content.is_cuda:
        return shared | {
            f"cuda/{name}_api.cu": fill_template("api_cuda.cu", values),
            "Makefile": fill_template("Makefile_cuda", values),
            "README.txt": fill_template("README_cuda.txt", values),
        }
    return shared | {
        f"src/{name}_api.c": fill_template("api.c", values),
        "Makefile": fill_template("Makefile", values),
        "CMakeLists.txt": fill_template("CMakeLists.txt", values),
        "README.txt": fill_template("README.txt", values),
    }


def weights_use(content: PackageContent) -> str:
    """What init does about weights, and with the arena."""
    if content.streamed:
        return (
            "open the weights file at `weights_path`, which is read while the model runs,\n"
            "   allocate the arena; `ctx` has to stay where it is until it is freed"
        )
    if content.weights and not content.inline_weights:
        return "map the weights file at `weights_path`, allocate the arena"
    return "allocate the arena; the weights are compiled in and `weights_path` is not used"


def cuda_files(content: PackageContent) -> list[str]:
    """Names of all files with CUDA kernels, and of the host side."""
    if not content.is_cuda:
        return []
    own = [f"{content.name}_api.cu"]
    return own + [
        file for program in content.programs for file in program_sources(content, program)
    ]


def device_interface(content: PackageContent) -> dict[str, str]:
    """What the header has for a GPU only."""
    if not content.is_cuda:
        return {"device_fields": "", "device_functions": "", "device_errors": ""}
    name, upper = content.name, content.name.upper()
    return {
        "device_fields": (
            f"  void *device_inputs[{max(1, len(content.inputs))}];\n"
            f"  void *device_outputs[{max(1, len(content.outputs))}];\n"
        ),
        "device_errors": (
            f",\n  {upper}_ERROR_DEVICE = 6     /* the GPU, or its emulation, met an error */"
        ),
        "device_functions": (
            "\n/* As run, with arrays in memory of the device, queued on a cudaStream_t.\n"
            "   Neither waits nor allocates, so that a CUDA graph may capture it. */\n"
            f"int {name}_run_on_stream(const {name}_context *ctx, const void *const inputs[],\n"
            f"    void *const outputs[], void *stream);\n"
        ),
    }


def _tensor_table(signatures: tuple[TensorSignature, ...], upper: str) -> str:
    if not signatures:
        return f'    {{"", {upper}_F32, 0, {{0}}, 0, 0}}\n'
    rows = []
    for s in signatures:
        shape = ", ".join(map(str, s.largest)) or "0"
        enum = element_type(s.dtype, s.name).enum
        rows.append(
            f"    {{{c_string(s.name)}, {upper}_{enum}, {len(s.shape)}, "
            f"{{{shape}}}, {s.elements}, {s.bytes}}},\n"
        )
    return "".join(rows)


def _tolerance_table(content: PackageContent) -> str:
    rows = [
        f"    {{{output.absolute!r}, {output.relative!r}}},\n" for output in content.check.outputs
    ]
    return "".join(rows) or "    {0.0, 0.0}\n"


def _weight_table(content: PackageContent) -> str:
    rows = []
    for symbol, array in content.weights.items():
        shape = ", ".join(map(str, array.shape)) or "0"
        stored = element_type(array.dtype.name, symbol).stored
        rows.append(
            f'    {{{c_string(symbol)}, "{stored}", {array.ndim}, {{{shape}}}, {array.nbytes}}},\n'
        )
    return "".join(rows)


def _signature_text(content: PackageContent) -> str:
    notes = {("input", s.input): f"; its next value is {s.place}" for s in content.states}
    lines = []
    for kind, signatures in (("input", content.inputs), ("output", content.outputs)):
        for number, s in enumerate(signatures):
            shape = " x ".join(map(size_text, s.shape)) or "scalar"
            enum = element_type(s.dtype, s.name).enum
            note = notes.get((kind, number), "")
            lines.append(f"   {kind} {number}: {s.name}, {enum}, {shape}{note}\n")
    lines += [f"   size {s.name}: {s.low} to {s.high}\n" for s in content.sizes]
    return "".join(["\n", *lines]).replace("*/", "* /")


def size_text(extent: object) -> str:
    """An extent for readers: a number, or the sizes that it follows from."""
    return extent.plain if isinstance(extent, Size) else str(extent)
