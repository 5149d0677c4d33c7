"""Is an engine right? Checked against PyTorch in float64 before anything is timed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from .engines import Inputs, flat_tensors, in_bf16

# An engine may be this many times less accurate than eager f32, which is itself the unit.
ALLOWED_RATIO = 16.0
# Relative to the largest reference value: what f32 rounding alone can cost a deep model.
ALLOWED_FLOOR = 1e-5


@dataclass(frozen=True)
class Accuracy:
    """Largest errors against float64, relative to the largest reference value."""

    error: float
    eager_error: float

    @property
    def is_ok(self) -> bool:
        """Whether the engine computes the model."""
        return self.error <= max(ALLOWED_RATIO * self.eager_error, ALLOWED_FLOOR)


def measure_accuracy(
    module: torch.nn.Module,
    program: Callable[[Inputs], Any],
    inputs: Inputs,
    precision: str = "f32",
) -> Accuracy:
    """Errors of `program` and of eager in `precision` on `inputs`."""
    wide = copy.deepcopy(module).double()
    reference = flat_tensors(wide(*(x.double() if x.is_floating_point() else x for x in inputs)))
    if precision == "bf16":
        native = copy.deepcopy(module).to(torch.bfloat16)(*in_bf16(inputs))
    else:
        native = module(*inputs)
    return Accuracy(
        relative_error(flat_tensors(program(inputs)), reference),
        relative_error(flat_tensors(native), reference),
    )


def relative_error(results: list[torch.Tensor], reference: list[torch.Tensor]) -> float:
    """Largest difference over all tensors, each relative to its largest reference value."""
    if [r.shape for r in results] != [r.shape for r in reference]:
        return float("inf")
    worst = 0.0
    for got, want in zip(results, reference, strict=True):
        if want.numel() == 0:
            continue
        scale = max(float(want.double().abs().max()), 1e-30)
        error = float((got.double() - want.double()).abs().max()) / scale
        worst = max(worst, error if error == error else float("inf"))
    return worst
