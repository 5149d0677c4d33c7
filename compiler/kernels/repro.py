"""A kernel that fails to compile by a defect, or computes wrong results, leaves a folder.

It has the program as affine IR, the schedule, the IR after every stage that worked, the error,
and the command that repeats it (inputs are drawn from a fixed seed).
"""

from __future__ import annotations

import shlex
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ...dialects.errors import OptionError, PassError, RefusedSourceError, VerifyFailure
from ..options import Options
from ..pipeline import write_text
from .program import KernelProgram

README = """\
{error}

kernel.mlir is the program, the numbered files are its IR after each stage that worked.
Repeat: {repeat}
"""


@contextmanager
def defects_kept(
    program: KernelProgram, steps: str | None, settings: Options, again: Callable[[Path], object]
) -> Iterator[None]:
    """Where the block fails by a defect, the error tells of the folder; `again` compiles as far as
    that goes, writing the IR into a folder."""
    try:
        yield
    except (PassError, RefusedSourceError, VerifyFailure) as error:
        folder = Path(tempfile.mkdtemp(prefix="tilecast-repro-"))
        told = f"the kernel and its IR are in {folder}"
        try:
            write_folder(folder, error, program, steps, settings)
            with suppress(PassError):
                again(folder)
        except OptionError as failed:  # no room
            told = str(failed)
        error.args = (f"{error}\n{told}", *error.args[1:])
        raise


def write_folder(
    folder: Path,
    error: Exception,
    program: KernelProgram,
    steps: str | None,
    settings: Options,
) -> None:
    """The files but for those of `again`; OptionError where they cannot be written."""
    command = ["tilecast", "compile", "kernel.mlir", "--target", settings.target]
    if steps is not None:
        write_text(folder, "schedule.txt", steps)
        command += ["--schedule", "schedule.txt"]
    write_text(folder, "kernel.mlir", program.text() + "\n")
    write_text(folder, "error.txt", "".join(traceback.format_exception(error)))
    repeat = shlex.join(command)
    write_text(folder, "README", README.format(error=error, repeat=repeat))
