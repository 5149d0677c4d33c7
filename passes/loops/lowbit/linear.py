"""Loops of `quant.linear`, in the form that is fastest for its format, shape and machine."""

from __future__ import annotations

from ....dialects.errors import LoweringError
from ....dialects.quant.ops import QuantizedLinearOp
from ..opaque_rules.kernel import OpaqueKernel
from ..opaque_rules.loop_builder import LoopBuilder
from ..opaque_rules.rule import lowers
from .forms import Problem, choose_form
from .tile_product import lower_to_tiles


@lowers(QuantizedLinearOp)
def lower_quantized_linear(op: QuantizedLinearOp, kernel: OpaqueKernel, b: LoopBuilder) -> None:
    """Every form arranges the activations, then goes through the tiles of the weight."""
    if kernel.machine.is_gpu and lower_to_tiles(op, kernel, b):
        return
    if op.activations.data == "fp8":
        raise LoweringError(
            f"quant.linear {op.weight_format}: activations='fp8' have tile programs of GPUs only, "
            f"none for this product on {kernel.machine.name}; choose activations='int8' or 'f32'"
        )
    choose_form(Problem.of(op, kernel.machine)).lower(op, kernel, b)
