"""A folder with what is needed to look at a wrong pass: IR before and after, and how to run it."""

from __future__ import annotations

from pathlib import Path

from ..pipeline import write_text
from .bisect import WHOLE, Culprit

README = """\
{culprit}

before.mlir and after.mlir are the IR around the pass{kernel}.
{command}
Repeat: {repeat}
"""


def write_repro(culprit: Culprit, folder: Path, repeat: str) -> Path:
    """Write the folder; `repeat` is the command that found `culprit`."""
    after = "after.c" if culprit.pass_name == "emit" else "after.mlir"
    write_text(folder, "before.mlir", culprit.before + "\n")
    write_text(folder, after, culprit.after + "\n")
    command = ""
    if culprit.pass_name not in ("import", "emit"):
        command = f"Run it alone: tilecast-opt before.mlir -p {culprit.pass_name}\n"
    kernel = "" if culprit.kernel == WHOLE else f"; it shows in @{culprit.kernel}"
    text = README.format(culprit=culprit, kernel=kernel, command=command, repeat=repeat)
    write_text(folder, "README", text)
    return folder
