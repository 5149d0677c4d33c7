"""`quant.linear` on GPUs: a launch of a tile program, its weights packed for it.

before: quant.linear %x, %codes, %scales, zeros %zeros, bias %bias
after:  tile.launch (%x, %bytes, %scales, %zeros, %bias, %out) { program }
"""

from __future__ import annotations

from ....dialects.graph import element_of, shape_of
from ....dialects.quant.ops import QuantizedLinearOp
from ....dialects.tile.atoms import F32, I8
from ....dialects.tile.launch import LaunchOp
from ....dialects.tile.weight_pack import WeightPackAttr
from ...tile.quantized_linear import choose_linear, quantized_program
from ..opaque_rules.kernel import OpaqueKernel
from ..opaque_rules.loop_builder import LoopBuilder


def lower_to_tiles(op: QuantizedLinearOp, kernel: OpaqueKernel, b: LoopBuilder) -> bool:
    """Append a launch that computes `op` to `kernel`; False where no tile program does."""
    linear = choose_linear(op)
    if linear is None:
        return False
    activation, operand = element_of(op.source), linear.activation
    _, bn, _ = linear.warps.tile
    table = (linear.tiles * linear.scale_rows, bn)
    parts = [
        ("codes", op.codes, (linear.tiles * linear.steps, linear.tile_bytes), I8),
        ("scales", op.scales, table, F32),
        ("zeros", op.zeros, table, operand),
    ]
    config, format = linear.config, str(op.weight_format)
    codes_shape, repeat = shape_of(op.codes), (config.repeat[1], config.repeat[2])
    for part, value, shape, element in parts:
        if value is not None:
            pack = WeightPackAttr.of(part, format, codes_shape, operand, config.columns, repeat)
            kernel.pack(value, pack, shape, element)
    values = [op.codes, op.scales, op.zeros, op.bias]
    arrays = [kernel.stored(b, op.source), *(kernel.arrays[v] for v in values if v is not None)]
    program = quantized_program(kernel.name, linear, op.rows, activation, op.bias is not None)
    kernel.block.add_op(LaunchOp([*arrays, kernel.out], program))
    return True
