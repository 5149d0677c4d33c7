"""Register tiles over blocks of channels: accumulators in registers, the same sums."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tilecast.costmodel.tile_cost import TileCost
from tilecast.passes.context import CompileContext
from tilecast.passes.loops.promote_buffers import PromoteBuffersPass
from tilecast.passes.loops.split_buffers import SplitBuffersPass
from tilecast.passes.poly.emission.lower_scop import lower_scop
from tilecast.passes.poly.rules.schedule import choose_schedule
from tilecast.passes.poly.rules.window_tiles import _longest
from xdsl.dialects import vector
from xdsl.dialects.arith import ConstantOp
from xdsl.dialects.builtin import IntegerAttr, ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.dialects.math import ExpOp
from xdsl.dialects.memref import AllocaOp
from xdsl.dialects.scf import ForOp, ParallelOp
from xdsl.ir import Block, Operation, SSAValue


def parallel_trips(func: FuncOp) -> list[int]:
    """Iterations of the parallel loops of `func`."""
    loops = [op for op in func.walk() if isinstance(op, ParallelOp)]
    bounds = [(loop.lowerBound[0], loop.upperBound[0]) for loop in loops]
    return [constant(high) - constant(low) for low, high in bounds]


def constant(value: SSAValue) -> int:
    """The number that `value` is."""
    assert isinstance(value.owner, ConstantOp)
    assert isinstance(value.owner.value, IntegerAttr)
    return value.owner.value.value.data


STEPS = "stride = [#builtin.int<1>, #builtin.int<1>], dilation = [#builtin.int<1>, #builtin.int<1>]"
CASES = {
    "blocked_conv": ("1x2x4x6xf32", "3x2x2x2x8xf32", "1x3x3x5x8xf32"),
    "blocked_depthwise": ("1x2x4x6x8xf32", "2x2x2x8xf32", "1x2x3x5x8xf32"),
}


@pytest.mark.parametrize("registers", [16, 5])  # so few may be counted on by a choice
@pytest.mark.parametrize("name", CASES)
def test_windows_are_summed_in_registers(
    kernel: Any, kernel_text: Any, machines: dict[str, Any], name: str, registers: int
) -> None:
    source, weight, result = CASES[name]
    t = kernel_text(x=source, w=weight)
    summed = t.op(name, "%x %w", result, STEPS)
    case = kernel(t.returns(t.op("pointwise", summed, result, 'fn = "relu"')))
    scop = case.scop()
    choose_schedule(scop, replace(machines["avx2"], vector_registers=registers), 1)
    module = ModuleOp([lower_scop(scop)])
    PromoteBuffersPass().apply(CompileContext(), module)
    text = str(module)
    assert "vector<8xf32>" in text
    assert "memref.alloca" not in text
    case.check_loops(module.body.block.first_op)


def test_positions_fill_registers_where_rows_are_short(
    kernel: Any, kernel_text: Any, machines: dict[str, Any]
) -> None:
    t = kernel_text(x="1x2x4x3xf32", w="1x1x1x2x16xf32")
    case = kernel(t.returns(t.op("blocked_conv", "%x %w", "1x1x4x3x16xf32", STEPS)))
    scop = case.scop()
    choose_schedule(scop, machines["avx512"], 1)
    case.check_lowered(scop)


def test_channels_that_do_not_fill_their_blocks(
    kernel: Any, kernel_text: Any, machines: dict[str, Any]
) -> None:
    t = kernel_text(x="1x2x3x9x8xf32", w="3x2x2x11x8xf32")
    blocked = "(d0, d1, d2, d3) -> (d0, d1 floordiv 8, d2, d3, d1 mod 8)"
    plain = t.op("view", "%x", "1x11x3x9xf32", f"map = affine_map<{blocked}>")
    case = kernel(t.returns(t.op("blocked_conv", f"{plain} %w", "1x3x2x8x8xf32", STEPS)))
    scop = case.scop()
    choose_schedule(scop, machines["avx2"], 2)
    case.check_lowered(scop)


def test_threads_share_the_rows_of_each_channel(
    kernel: Any, kernel_text: Any, machines: dict[str, Any]
) -> None:
    t = kernel_text(x="1x2x10x18x8xf32", w="2x3x3x8xf32")
    result = "1x2x8x16x8xf32"
    summed = t.op("blocked_depthwise", "%x %w", result, STEPS)
    case = kernel(t.returns(t.op("pointwise", summed, result, 'fn = "relu"')))
    scop = case.scop()
    choose_schedule(scop, machines["avx2"], 2)
    assert scop.schedule is not None
    assert "split(S0.i1, 4" in scop.schedule.data
    assert parallel_trips(lower_scop(scop)) == [2]
    case.check_lowered(scop)


def test_rows_that_threads_can_not_share_evenly_stay_together(
    kernel: Any, kernel_text: Any, machines: dict[str, Any]
) -> None:
    t = kernel_text(x="1x4x9x10x8xf32", w="4x3x3x8xf32")
    case = kernel(t.returns(t.op("blocked_depthwise", "%x %w", "1x4x7x8x8xf32", STEPS)))
    scop = case.scop()
    choose_schedule(scop, machines["avx2"], 2)
    assert parallel_trips(lower_scop(scop)) == [4]
    case.check_lowered(scop)


def blocks_of_functions(func: FuncOp) -> list[list[Operation]]:
    """The exponentials of `func` by the block that they stand in."""
    found: dict[Block | None, list[Operation]] = {}
    for op in func.walk():
        if isinstance(op, ExpOp):
            found.setdefault(op.parent, []).append(op)
    return list(found.values())


def silu_behind(kernel: Any, t: Any, op: str, result: str) -> Any:
    """silu of the sums of `op` over x and w."""
    sums = t.op(op, "%x %w", result, STEPS)
    return kernel(t.returns(t.op("pointwise", sums, result, 'fn = "silu"')), exact=False)


@pytest.mark.parametrize("threads", [1, 2])
def test_functions_have_a_loop_of_their_own_where_registers_are_few(
    kernel: Any, kernel_text: Any, machines: dict[str, Any], threads: int
) -> None:
    t = kernel_text(x="1x32x6x13xf32", w="4x1x1x32x8xf32")
    case = silu_behind(kernel, t, "blocked_conv", "1x4x6x13x8xf32")
    for machine, is_apart in ((machines["avx2"], True), (machines["avx512"], False)):
        scop = case.scop()
        choose_schedule(scop, machine, threads)
        func = lower_scop(scop)
        alone = [len(ops) == 1 for ops in blocks_of_functions(func)]
        assert all(alone) if is_apart else not any(alone)
        SplitBuffersPass().apply(CompileContext(), ModuleOp([func]))
        case.check_loops(func)


def test_sums_that_a_function_reads_later_are_in_registers(
    kernel: Any, kernel_text: Any, machines: dict[str, Any]
) -> None:
    t = kernel_text(x="1x4x8x18x8xf32", w="4x5x5x8xf32")
    case = silu_behind(kernel, t, "blocked_depthwise", "1x4x4x14x8xf32")
    scop = case.scop()
    choose_schedule(scop, machines["avx2"], 1)
    module = ModuleOp([lower_scop(scop)])
    for passed in (SplitBuffersPass(), PromoteBuffersPass()):
        passed.apply(CompileContext(), module)
    local = [op for op in module.walk() if isinstance(op, AllocaOp)]
    (row,) = local
    accesses = [use.operation for use in row.memref.uses]
    (tile,) = {op.parent for op in accesses if isinstance(op, vector.StoreOp)}
    # a window of 25 is longer than a core looks ahead: sums fill half of 16 registers
    assert sum(isinstance(op, vector.StoreOp) for op in accesses) == 7
    assert not any(op.parent is tile for op in accesses if isinstance(op, vector.LoadOp))
    case.check_loops(module.body.block.first_op)


def test_a_function_behind_the_sums_of_one_block_and_position(
    kernel: Any, kernel_text: Any, machines: dict[str, Any]
) -> None:
    """No loop is left around the tile, as in squeeze and excite."""
    t = kernel_text(x="1x16x1x1xf32", w="1x1x1x16x8xf32")
    case = silu_behind(kernel, t, "blocked_conv", "1x1x1x1x8xf32")
    scop = case.scop()
    choose_schedule(scop, machines["avx2"], 2)
    case.check_lowered(scop)


def padded_convolution(kernel: Any, kernel_text: Any, rows: int, columns: int) -> Any:
    """A sum over channels with a border around it."""
    t = kernel_text(x=f"1x16x{rows}x{columns}xf32", w="4x1x1x16x8xf32")
    summed = t.op("blocked_conv", "%x %w", f"1x4x{rows}x{columns}x8xf32", STEPS)
    sides = ", ".join(f"#builtin.int<{n}>" for n in (0, 0, 1, 1, 0))
    pad = f"low = [{sides}], high = [{sides}], value = 0.0 : f64"
    return kernel(t.returns(t.op("pad", summed, f"1x4x{rows + 2}x{columns + 2}x8xf32", pad)))


@pytest.mark.parametrize("l2_bytes", [2**20, 64], ids=["rows outermost", "blocks outermost"])
def test_borders_are_written_by_the_thread_next_to_them(
    kernel: Any, kernel_text: Any, machines: dict[str, Any], l2_bytes: int
) -> None:
    case = padded_convolution(kernel, kernel_text, 6, 5)
    scop = case.scop()
    choose_schedule(scop, replace(machines["avx2"], l2_bytes=l2_bytes), 2)
    outermost = [op for op in lower_scop(scop).body.block.ops if isinstance(op, ForOp)]
    assert len(outermost) == 1
    case.check_lowered(scop)


def test_a_border_starts_no_threads(
    kernel: Any, kernel_text: Any, machines: dict[str, Any]
) -> None:
    scop = padded_convolution(kernel, kernel_text, 16, 16).scop()
    choose_schedule(scop, machines["avx2"], 2)
    assert len(parallel_trips(lower_scop(scop))) == 1


def test_tiles_suit_the_thread_that_takes_longest(machines: dict[str, Any]) -> None:
    # 49 positions, 10 blocks: of 5 pairs of blocks one thread would have 3, the other 2
    def longest(sizes: tuple[int, int], threads: int) -> float:
        return _longest(TileCost(machines["avx512"]), (49, 10), sizes, 1, threads, 1)

    assert longest((25, 1), 2) < longest((13, 2), 2)
    assert longest((25, 1), 1) > longest((13, 2), 1)


def test_a_broadcast_is_a_load_of_its_own_where_vectors_are_as_wide_as_a_load_port(
    machines: dict[str, Any],
) -> None:
    narrow, wide = (TileCost(machines[name], overhead=0) for name in ("avx2", "avx512"))
    assert narrow.term(1, 14) == 15 > wide.term(1, 14) == 14
    assert narrow.term(2, 6) == wide.term(2, 6) == 12
    streamed = TileCost(machines["avx2"], is_streamed=True, overhead=0)
    assert streamed.term(4, 3) > streamed.term(2, 6) == 12  # more bytes for as many multiply-adds
