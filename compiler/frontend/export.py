"""Models and `.pt2` files to `torch.export.ExportedProgram`."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.utils._pytree import tree_map

from ...dialects.errors import InvalidInputError
from .dynamic_dims import dynamic_shapes_for


def export_model(
    module: nn.Module,
    example_inputs: Sequence[Any],
    kwargs: Mapping[str, Any] | None = None,
    dynamic_shapes: Any = None,
) -> ExportedProgram:
    """Trace `module` in evaluation mode; its own mode is restored afterwards.

    `dynamic_shapes` are those of torch.export, or text as in `dynamic_dims.py`.
    """
    if not isinstance(module, nn.Module):
        raise InvalidInputError(
            f"expected a torch.nn.Module, found {type(module).__name__}; "
            "wrap a plain function in a module with a forward method"
        )
    if isinstance(example_inputs, torch.Tensor):
        raise InvalidInputError(
            "expected a tuple of example inputs, found one tensor; write (x,) instead of x"
        )
    dims = dynamic_shapes_for(module, dynamic_shapes)
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            args, kwargs = _distinct((tuple(example_inputs), dict(kwargs or {})))
            return torch.export.export(module, args, kwargs, dynamic_shapes=dims)
    except Exception as error:
        raise InvalidInputError(
            f"torch.export cannot trace this model: {_first_lines(error)}\n"
            "hint: the model must run on the example inputs, and its control flow must not depend "
            "on tensor values; torch.export.draft_export(model, inputs) explains what to change"
        ) from error
    finally:
        for part, training in modes.items():
            part.training = training


def load_exported(path: str | Path) -> ExportedProgram:
    """Read a `.pt2` file written by `torch.export.save`. Load only files that you trust.

    Codes of quantized weights that `tilecast quantize` stored in it come along.
    """
    from ..quantize.storage import EXTRA_FILE, attach_codes

    file = Path(path)
    if not file.is_file():
        raise InvalidInputError(f"no such file: {file}")
    log = logging.getLogger("torch.export")
    level = log.level
    try:
        log.setLevel(logging.CRITICAL)  # torch logs a traceback of its own for each damaged file
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            extra = {EXTRA_FILE: ""}
            program = torch.export.load(file, extra_files=extra)
    except Exception as error:
        raise InvalidInputError(
            f"{file} is no exported program: {_first_lines(error)}\n"
            "hint: write it with torch.export.save(torch.export.export(model, inputs), path)"
        ) from error
    finally:
        log.setLevel(level)
    attach_codes(program, extra[EXTRA_FILE])
    return program


def _distinct(inputs: Any) -> Any:
    """Tensors given twice are copied: export would take both arguments for the same one."""
    seen: set[int] = set()

    def copy_if_seen(leaf: Any) -> Any:
        if not isinstance(leaf, torch.Tensor):
            return leaf
        if id(leaf) in seen:
            return leaf.clone()
        seen.add(id(leaf))
        return leaf

    return tree_map(copy_if_seen, inputs)


def _first_lines(error: Exception, limit: int = 3) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return "\n".join(lines[:limit]) or type(error).__name__
