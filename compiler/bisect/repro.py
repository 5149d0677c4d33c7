"""A folder with what is needed to look at a wrong pass: IR before and after, and how to run it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from ..options import OPTIONS, Options
from ..pipeline import write_text
from .culprit import WHOLE, Culprit

README = """\
{culprit}

{files}{kernel}.
{command}
Repeat: {repeat}
"""
# Of the tool, or in the saved model already.
LEFT_OUT = {"stop_after", "verify", "dump_dir", "progress", "cache", "tune"}
LEFT_OUT |= {"weights", "activations", "dynamic_shapes"}


def write_repro(culprit: Culprit, folder: Path, repeat: str) -> Path:
    """Write the folder; `repeat` is the command that found `culprit`."""
    write_text(folder, "before.mlir", culprit.before + "\n")
    files = "before.mlir is the IR before the pass"
    if culprit.after:
        after = "after.c" if culprit.pass_name == "emit" else "after.mlir"
        write_text(folder, after, culprit.after + "\n")
        files = f"before.mlir and {after} are the IR around the pass"
    command = ""
    if culprit.pass_name not in ("import", "emit"):
        command = f"Run it alone: tilecast-opt before.mlir -p {culprit.pass_name}\n"
    kernel = "" if culprit.kernel == WHOLE else f"; it shows in @{culprit.kernel}"
    text = README.format(
        culprit=culprit, files=files, kernel=kernel, command=command, repeat=repeat
    )
    write_text(folder, "README", text)
    return folder


def save_model(program: ExportedProgram, leaves: Sequence[Any], folder: Path) -> Path:
    """The model as a file, and the example inputs beside it."""
    for stage, value in {"inputs.pt": list(leaves), "model.pt2": program}.items():
        path = folder / stage
        try:
            if isinstance(value, ExportedProgram):
                torch.export.save(value, path)
            else:
                torch.save(value, path)
        except Exception as error:  # torch cannot write every model: say so in the file's place
            path.with_suffix(".txt").write_text(f"torch cannot write it: {error}\n")
    return folder / "model.pt2"


def bisect_command(model: Path, settings: Options) -> str:
    """The command that looks for the pass at fault in a saved model under the same options."""
    flags = ["tilecast", "bisect", str(model)]
    for spec in OPTIONS:
        value = getattr(settings, spec.name)
        if spec.name not in LEFT_OUT and value is not None and value != spec.default:
            flags += [f"--{spec.name.replace('_', '-')}", str(value)]
    return shlex.join(flags)
