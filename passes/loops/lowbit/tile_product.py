"""`quant.linear` on GPUs: launches of tile programs, its weights packed for them.

before: quant.linear %x, %codes, %scales, zeros %zeros, bias %bias
after:  tile.launch (%x, %bytes, %scales, %zeros, %bias, %out) { program }

Parts of K, or an expanded weight, are a launch before in a scratch array.
"""

from __future__ import annotations

from xdsl.ir import SSAValue

from ....dialects.graph import element_of, shape_of
from ....dialects.quant.ops import QuantizedLinearOp
from ....dialects.tile.atoms import F32, I8
from ....dialects.tile.launch import LaunchOp
from ....dialects.tile.weight_pack import WeightPackAttr
from ...tile.expand_weight import expand_program
from ...tile.quantized_linear import dense_program, parts_program, product_program
from ...tile.quantized_plan import LinearPlan, choose_plan
from ..opaque_rules.kernel import OpaqueKernel
from ..opaque_rules.loop_builder import LoopBuilder


def lower_to_tiles(op: QuantizedLinearOp, kernel: OpaqueKernel, b: LoopBuilder) -> bool:
    """Append launches that compute `op` to `kernel`; False where no tile program does."""
    plan = choose_plan(op)
    if plan is None:
        return False
    linear, activation, name = plan.linear, element_of(op.source), kernel.name
    m, n, has_bias = op.rows, linear.rows, op.bias is not None
    weight = packed_weight(op, plan, kernel)
    source = kernel.stored(b, op.source)
    bias = [] if op.bias is None else [kernel.arrays[op.bias]]
    if plan.dense is not None:
        numbers = kernel.scratch("numbers", (n, linear.columns), activation)
        launches = [
            LaunchOp([*weight, numbers], expand_program(f"{name}_expand", linear)),
            LaunchOp(
                [source, numbers, *bias, kernel.out],
                dense_program(name, plan.dense, (m, n, linear.columns), has_bias),
            ),
        ]
    else:
        program = product_program(name, plan, m, activation, has_bias)
        if plan.parts == 1:
            launches = [LaunchOp([source, *weight, *bias, kernel.out], program)]
        else:
            sums = kernel.scratch("sums", (plan.parts, m, n), F32)
            adding = parts_program(f"{name}_sum", plan.parts, (m, n), activation, has_bias)
            launches = [
                LaunchOp([source, *weight, sums], program),
                LaunchOp([sums, *bias, kernel.out], adding),
            ]
    for launch in launches:
        kernel.block.add_op(launch)
    return True


def packed_weight(op: QuantizedLinearOp, plan: LinearPlan, kernel: OpaqueKernel) -> list[SSAValue]:
    """The arrays of the weight, packed as the plan's programs read them."""
    linear = plan.linear
    config, format, shape = linear.config, str(op.weight_format), shape_of(op.codes)
    table = (linear.tiles * linear.scale_rows, linear.warps.tile[1])
    parts = [
        ("codes", op.codes, (linear.tiles * linear.steps, linear.tile_bytes), I8),
        ("scales", op.scales, table, F32),
        ("zeros", op.zeros, table, linear.zero_element),
    ]
    repeat = (config.repeat[1], config.repeat[2])
    for part, value, packed, element in parts:
        if value is not None:
            pack = WeightPackAttr.of(
                part, format, shape, linear.activation, config.columns, repeat, element
            )
            kernel.pack(value, pack, packed, element)
    levels = op.levels if linear.has_table else None
    values = (op.codes, op.scales, op.zeros, levels)
    return [kernel.arrays[value] for value in values if value is not None]
