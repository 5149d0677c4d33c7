"""Eager PyTorch as `precision` asks: what contractions multiply is rounded, and added up in f32.

Its error against float64 is what the precision costs, and thus what a compiled program may cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .definite import DefiniteInterpreter

aten = torch.ops.aten
# Which arguments the pass `lower-precision` rounds: products and no others, or the bound is loose.
FACTORS: dict[Any, tuple[int, ...]] = {
    aten.linear.default: (0, 1),
    aten.matmul.default: (0, 1),
    aten.mm.default: (0, 1),
    aten.bmm.default: (0, 1),
    aten.mv.default: (0, 1),
    aten.addmm.default: (1, 2),
    aten.baddbmm.default: (1, 2),
    aten.scaled_dot_product_attention.default: (0, 1, 2),
}
CONVOLUTIONS = {
    overload.default for overload in (aten.conv1d, aten.conv2d, aten.conv3d, aten.convolution)
}


def factors_of(target: Any, args: Sequence[Any]) -> tuple[int, ...]:
    """Which arguments of an operator are rounded; of convolutions those whose channels pair up."""
    if target in CONVOLUTIONS:
        is_paired = args[1].shape[1] % 2 == 0
        return (0, 1) if is_paired else ()
    return FACTORS.get(target, ())


def rounded(value: Any) -> Any:
    """An f32 tensor as the nearest bf16 numbers."""
    if isinstance(value, Tensor) and value.dtype == torch.float32:
        return value.to(torch.bfloat16).to(torch.float32)
    return value


class RoundedInterpreter(DefiniteInterpreter):
    """Runs an fx graph with the factors of contractions in bf16."""

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Call an operator, its factors rounded."""
        factors = factors_of(target, args)
        args = tuple(rounded(a) if k in factors else a for k, a in enumerate(args))
        return super().call_function(target, args, kwargs)


INTERPRETERS: dict[str, type[DefiniteInterpreter]] = {
    "f32": DefiniteInterpreter,
    "bf16": RoundedInterpreter,
}
"""What stands for eager PyTorch, by precision."""
