"""`quant.linear` on GPUs: launches of tile programs, its weights packed for them.

before: quant.linear %x, %codes, %scales, zeros %zeros, bias %bias
after:  tile.launch (%x, %bytes, %scales, %zeros, %bias, %out) { program }

An expanded weight or activations of 8 bits are a launch before, in a scratch array.
"""

from __future__ import annotations

from xdsl.ir import SSAValue

from ....dialects.graph import element_of, shape_of
from ....dialects.quant.ops import QuantizedLinearOp
from ....dialects.tile.atoms import F32, I8
from ....dialects.tile.launch import LaunchOp
from ....dialects.tile.weight_pack import WeightPackAttr
from ...poly.rules_gpu.choice import choice_of
from ...tile.expand_weight import expand_program
from ...tile.lowbit_linear import LowbitLinear
from ...tile.quantized_linear import dense_program, product_program
from ...tile.quantized_plan import LinearPlan, choose_plan
from ...tile.rounded_rows import rounding_program
from ..opaque_rules.kernel import OpaqueKernel
from ..opaque_rules.loop_builder import LoopBuilder


def lower_to_tiles(op: QuantizedLinearOp, kernel: OpaqueKernel, b: LoopBuilder) -> bool:
    """Append launches that compute `op` to `kernel`; False where no tile program does."""
    plan = choose_plan(op, kernel.machine, choice_of(op))
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
        launches, rows, shared = [], [source], []
        if linear.is_rounded:
            rows = rounded_rows(linear, m, kernel)
            rounding = rounding_program(f"{name}_round", linear, m, activation)
            launches.append(LaunchOp([source, *rows], rounding))
        program = product_program(name, plan, m, activation, has_bias)
        if (stripes := plan.stripes(m)) is not None:
            shared = [kernel.scratch("sums", (m, n), F32), kernel.semaphores(stripes.tiles)]
        launches.append(LaunchOp([*rows, *weight, *bias, kernel.out, *shared], program))
    for launch in launches:
        kernel.block.add_op(launch)
    return True


def rounded_rows(linear: LowbitLinear, rows: int, kernel: OpaqueKernel) -> list[SSAValue]:
    """Scratch arrays for activations of 8 bits, their scales, and their sums where needed."""
    columns = linear.steps * linear.warps.tile[2]
    found = [
        kernel.scratch("rounded", (rows, columns), I8),
        kernel.scratch("row_scales", (rows, 1), F32),
    ]
    if linear.needs_sums:
        found.append(kernel.scratch("row_sums", (linear.steps, rows), F32))
    return found


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
