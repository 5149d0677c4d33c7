"""Operators of torchao, which round and scale, become the arithmetic that they are defined by.

before: torchao.quantize_affine(x, ...)
after:  clamp(round(x * (1 / scale)) + zero, low, high)

They stay whole in exported programs, and refuse to compute in float64, as verification has to.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch.export import ExportedProgram

from .decompositions import calls, decomposition_of, operator_name

LIBRARIES = ("torchao.",)


def with_plain_operators(program: ExportedProgram) -> ExportedProgram:
    """`program` in operators of ATen; itself where it has no others."""
    targets = {node.target for node in calls(program) if operator_name(node).startswith(LIBRARIES)}
    table: dict[Any, Any] = {
        target: found for target in targets if (found := decomposition_of(target)) is not None
    }
    if not table:
        return program
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        plain: ExportedProgram = program.run_decompositions(table)
    return plain
