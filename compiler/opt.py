"""`tilecast-opt`: IR text in, passes applied, IR text out.

`tilecast-opt FILE -p canonicalize,fuse{option=1}`; golden tests call `run_opt` in process.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import TextIO

import click
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass
from xdsl.printer import Printer
from xdsl.utils.arg_spec import parse_pipeline
from xdsl.utils.exceptions import ArgSpecParseError, DiagnosticException
from xdsl.utils.exceptions import VerifyException as XdslVerifyException

from ..dialects.errors import InvalidInputError, OptionError, TilecastError
from ..passes.context import CompileContext
from ..passes.registry import PASSES, load_pass
from .ir_text import parse_ir

SECTION_MARK = "// -----"


def split_sections(text: str) -> list[str]:
    """The parts of `text` between lines that hold only `// -----`."""
    sections: list[list[str]] = [[]]
    for line in text.splitlines(keepends=True):
        if line.strip() == SECTION_MARK:
            sections.append([])
        else:
            sections[-1].append(line)
    return ["".join(lines) for lines in sections]


def load_pipeline(spec: str) -> list[ModulePass]:
    """The passes that `a,b{option=1}` names, with their options; OptionError where it is wrong."""
    if not spec.strip():
        return []
    passes: list[ModulePass] = []
    try:
        for item in parse_pipeline(spec):
            passes.append(load_pass(item.name).from_spec(item.normalize_parameter_names()))
    except (ArgSpecParseError, ValueError) as error:
        raise OptionError(f"pass pipeline {spec!r}: {error}") from error
    return passes


def run_opt(
    text: str,
    pipeline: str = "",
    *,
    split_input_file: bool = False,
    print_op_generic: bool = False,
    source: str = "<stdin>",
) -> str:
    """Parse and verify `text`, run the passes of `pipeline` (verified after each), print.

    With `split_input_file` each section between `// -----` lines is a module of its own. Text that
    does not parse or verify is an InvalidInputError that holds the reason.
    """
    sections = split_sections(text) if split_input_file else [text]
    printed: list[str] = []
    for section in sections:
        module = _run_section(section, load_pipeline(pipeline), source)
        stream = io.StringIO()
        Printer(stream, print_generic_format=print_op_generic).print_op(module)
        printed.append(stream.getvalue() + "\n")
    return f"{SECTION_MARK}\n".join(printed)


def _run_section(text: str, passes: list[ModulePass], source: str) -> ModuleOp:
    context = CompileContext()
    module = parse_ir(context, text, source)
    for step in passes:
        step.apply(context, module)
        try:
            module.verify()
        except (DiagnosticException, XdslVerifyException) as error:
            raise TilecastError(f"{source}: invalid IR after pass {step.name}: {error}") from error
    return module


def _read(file: str, stdin: TextIO) -> str:
    if file == "-":
        return stdin.read()
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"cannot read IR text from {file}: {error}") from error


@click.command(help="Read IR text from FILE (- for stdin), run passes, print the result.")
@click.argument("file", default="-")
@click.option("-p", "--passes", "pipeline", default="", help="pass,pass{option=1}")
@click.option("--split-input-file", is_flag=True, help=f"Sections between {SECTION_MARK} lines.")
@click.option("--print-op-generic", is_flag=True, help="Print every op in its generic form.")
@click.option("--list-passes", is_flag=True, help="Print the names of all passes.")
@click.version_option(package_name="tilecast")
def main(
    file: str, pipeline: str, split_input_file: bool, print_op_generic: bool, list_passes: bool
) -> None:
    """Entry point of the `tilecast-opt` command."""
    if list_passes:
        click.echo("\n".join(PASSES))
        return
    try:
        result = run_opt(
            _read(file, sys.stdin),
            pipeline,
            split_input_file=split_input_file,
            print_op_generic=print_op_generic,
            source=file,
        )
    except TilecastError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    click.echo(result, nl=False)
