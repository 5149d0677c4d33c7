"""The memory plan: places, copies, packing, and that no two live buffers overlap."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tilecast.dialects.errors import LoweringError
from tilecast.dialects.poly import PackAttr
from tilecast.dialects.weights import WeightStore
from tilecast.passes.context import CompileContext
from tilecast.passes.loops.allocate_arena import ALIGNMENT, Lifetime, allocate_arena
from tilecast.passes.loops.in_place import pairs_of
from tilecast.passes.loops.pack_weights import pack_array
from tilecast.passes.loops.plan_memory import PlanMemoryPass, program_arena
from xdsl.dialects import memref
from xdsl.dialects.arith import ConstantOp
from xdsl.dialects.builtin import AffineMapAttr, IntegerAttr, ModuleOp
from xdsl.dialects.func import CallOp, FuncOp
from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineMap
from xdsl.parser import Parser

lifetimes = st.builds(
    lambda size, first, length: Lifetime(size, first, first + length),
    st.one_of(st.integers(0, 300), st.sampled_from([64, 128, 4096])),
    st.integers(0, 12),
    st.integers(0, 6),
)


@settings(deadline=None)
@given(st.lists(lifetimes, max_size=24))
def test_live_buffers_never_overlap(buffers):
    plan = allocate_arena(buffers)
    assert len(plan.offsets) == len(buffers)
    assert plan.bytes >= plan.lower_bound
    for k, (offset, buffer) in enumerate(zip(plan.offsets, buffers, strict=True)):
        assert offset % ALIGNMENT == 0
        assert 0 <= offset <= offset + buffer.bytes <= plan.bytes
        for other in range(k):
            if buffer.overlaps(buffers[other]):
                ends = offset + buffer.bytes, plan.offsets[other] + buffers[other].bytes
                assert ends[0] <= plan.offsets[other] or ends[1] <= offset


def test_lower_bound_is_the_peak_of_live_bytes():
    plan = allocate_arena([Lifetime(64, 0, 1), Lifetime(100, 1, 2), Lifetime(64, 2, 3)])
    assert plan.lower_bound == 192
    assert plan.bytes == 192


def test_chain_needs_two_buffers():
    chain = [Lifetime(1000, k, k + 1) for k in range(10)]
    assert allocate_arena(chain).bytes == 2048


def test_nothing_needs_no_arena():
    assert allocate_arena([]).bytes == 0


KERNELS = """
  func.func @add(%0: memref<2x4xf32>, %1: memref<2x4xf32>, %2: memref<2x4xf32>)
      attributes {"tilecast.roles" = ["in", "weight", "out"]} { func.return }
  func.func @neg(%0: memref<2x4xf32>, %1: memref<2x4xf32>)
      attributes {"tilecast.roles" = ["in", "out"]} { func.return }
  func.func @flat(%0: memref<8xf32>, %1: memref<8xf32>, %2: memref<100xf32>)
      attributes {"tilecast.roles" = ["in", "out", "scratch"]} { func.return }
"""
LAUNCH = '"graph.launch"({args}) <{{"kernel" = @{name}}}> : ({types}) -> {result}'
T = "tensor<2x4xf32>"
F = "tensor<8xf32>"


def launch(name: str, *args: tuple[str, str], result: str = T) -> str:
    return LAUNCH.format(
        name=name,
        args=", ".join(a for a, _ in args),
        types=", ".join(t for _, t in args),
        result=result,
    )


def weight(symbol: str, type: str = T) -> str:
    return f'"graph.weight"() <{{"symbol" = @{symbol}}}> : () -> {type}'


def reshape(value: str, before: str, after: str) -> str:
    return f'"graph.reshape"({value}) : ({before}) -> {after}'


def plan(
    body: str,
    results: str,
    kernels: str = KERNELS,
    weights: WeightStore | None = None,
    streamed: bool = False,
):
    text = f"builtin.module {{ {kernels} func.func @main(%x: {T}) -> ({results}) {{ {body} }} }}"
    ctx = CompileContext(stream_weights=streamed)
    if weights is not None:
        ctx.weights = weights
    module = Parser(ctx, text).parse_module()
    PlanMemoryPass().apply(ctx, module)
    module.verify()
    return module, main_of(module), ctx


def main_of(module: ModuleOp) -> FuncOp:
    return next(op for op in module.ops if isinstance(op, FuncOp) and op.sym_name.data == "main")


def run(main: FuncOp, inputs: list[np.ndarray], outputs: list[np.ndarray], weights, kernels):
    """Execute a planned program on numpy memory; `kernels` maps names to Python functions."""
    arena = np.full(program_arena(main)[0], 0xFF, np.uint8)
    values: dict[SSAValue, np.ndarray | int] = dict(
        zip(main.body.block.args, [*inputs, *outputs, arena], strict=True)
    )
    for op in main.body.block.ops:
        if isinstance(op, ConstantOp):
            assert isinstance(op.value, IntegerAttr)
            values[op.result] = op.value.value.data
        elif isinstance(op, memref.ViewOp):
            start, shape = values[op.byte_shift], op.result.type.get_shape()
            size = 4 * int(np.prod(shape))
            values[op.result] = arena[start : start + size].view(np.float32).reshape(shape)
        elif isinstance(op, memref.ReinterpretCastOp):
            values[op.result] = values[op.source].reshape(op.result.type.get_shape())
        elif isinstance(op, memref.GetGlobalOp):
            values[op.memref] = weights[op.name_.root_reference.data]
        elif isinstance(op, memref.CopyOp):
            values[op.destination][...] = values[op.source]
        elif isinstance(op, CallOp):
            kernels[op.callee.root_reference.data](*(values[a] for a in op.arguments))
        else:
            assert op.name == "func.return"


def add(x, w, out):
    out[...] = x + w


def neg(x, out):
    out[...] = -x


def flat(x, out, scratch):
    scratch[...] = 7.0
    out[...] = x + scratch[:8]


NUMPY = {"add": add, "neg": neg, "flat": flat}
X = np.arange(8, dtype=np.float32).reshape(2, 4)
W = WeightStore({"w": X * 10, "v": X * 100})


def execute(body: str, results: list[str]) -> tuple[list[np.ndarray], FuncOp]:
    _, main, ctx = plan(body, ", ".join(results), weights=W)
    outputs = [np.full(X.shape if r == T else (8,), np.nan, np.float32) for r in results]
    run(main, [X], outputs, ctx.weights, NUMPY)
    return outputs, main


def test_single_kernel_writes_the_output_itself():
    body = f"%w = {weight('w')} %0 = {launch('add', ('%x', T), ('%w', T))} func.return %0 : {T}"
    outputs, main = execute(body, [T])
    np.testing.assert_array_equal(outputs[0], X * 11)
    assert program_arena(main) == (0, 0)
    assert not [op for op in main.walk() if isinstance(op, memref.CopyOp)]


def test_intermediates_live_in_the_arena_and_weights_come_first():
    body = f"""
      %w = {weight("w")} %v = {weight("v")}
      %0 = {launch("add", ("%x", T), ("%w", T))}
      %1 = {launch("neg", ("%0", T))}
      %2 = {launch("add", ("%1", T), ("%v", T))}
      %3 = {launch("add", ("%2", T), ("%w", T))}
      func.return %3 : {T}"""
    outputs, main = execute(body, [T])
    np.testing.assert_array_equal(outputs[0], -X * 11 + X * 110)
    assert program_arena(main) == (128, 128)
    names = [op.name_.root_reference.data for op in main.walk() if op.name == "memref.get_global"]
    assert names == ["w", "v"]


def test_reshapes_are_aliases_and_scratch_is_separate():
    body = f"""
      %0 = {launch("neg", ("%x", T))}
      %1 = {reshape("%0", T, F)}
      %2 = {launch("flat", ("%1", F), result=F)}
      %3 = {launch("flat", ("%2", F), result=F)}
      %4 = {reshape("%3", F, T)}
      func.return %4 : {T}"""
    outputs, main = execute(body, [T])
    np.testing.assert_array_equal(outputs[0], 14 - X)
    # neg's result or the flat one, and 448 bytes of scratch, at a time
    assert program_arena(main)[1] == 64 + 64 + 448


def test_output_used_by_later_kernels_is_read_from_the_output():
    body = f"""
      %0 = {launch("neg", ("%x", T))} %1 = {launch("neg", ("%0", T))}
      func.return %0, %1 : {T}, {T}"""
    outputs, main = execute(body, [T, T])
    np.testing.assert_array_equal(outputs[0], -X)
    np.testing.assert_array_equal(outputs[1], X)
    assert program_arena(main)[0] == 0


def test_inputs_weights_and_repeated_values_are_copied_to_outputs():
    body = f"""
      %w = {weight("w")} %0 = {launch("neg", ("%x", T))} %1 = {reshape("%0", T, F)}
      func.return %x, %w, %0, %1, %0 : {T}, {T}, {T}, {F}, {T}"""
    outputs, main = execute(body, [T, T, T, F, T])
    for found, expected in zip(outputs, [X, X * 10, -X, -X.reshape(8), -X], strict=True):
        np.testing.assert_array_equal(found, expected)
    assert len([op for op in main.walk() if isinstance(op, memref.CopyOp)]) == 4


def test_unused_result_has_memory_while_it_is_written():
    body = f"%0 = {launch('neg', ('%x', T))} %1 = {launch('neg', ('%x', T))} func.return %1 : {T}"
    outputs, main = execute(body, [T])
    np.testing.assert_array_equal(outputs[0], -X)
    assert program_arena(main)[0] == 64


PACKED = """
  func.func @packed(%0: memref<2x4xf32>,
      %1: memref<2x2x3xf32>
        {"tilecast.pack" = #poly.pack<PACK, [#builtin.int<2>, #builtin.int<4>]>},
      %2: memref<2x4xf32>) attributes {"tilecast.roles" = ["in", "weight", "out"]} { func.return }
"""


def transposing_pack() -> PackAttr:
    """packed[p, k, l] = source[k, p * 3 + l]: two panels of three columns, the last one short."""
    p, k, lane = (AffineDimExpr(d) for d in range(3))
    return PackAttr.of(AffineMap(3, 0, (k, p * 3 + lane)), (2, 4))


def test_packing_rearranges_and_fills_with_zeros():
    packed = pack_array(X, transposing_pack(), (2, 2, 3))
    expected = np.zeros((2, 2, 3), np.float32)
    for p, k, lane in np.ndindex(2, 2, 3):
        if p * 3 + lane < 4:
            expected[p, k, lane] = X[k, p * 3 + lane]
    np.testing.assert_array_equal(packed, expected)


def test_packing_takes_any_shape_of_the_same_size():
    pack = transposing_pack()
    np.testing.assert_array_equal(
        pack_array(X.reshape(8), pack, (2, 2, 3)), pack_array(X, pack, (2, 2, 3))
    )
    with pytest.raises(LoweringError, match="cannot be packed"):
        pack_array(np.zeros(9, np.float32), pack, (2, 2, 3))


P, K, L = (AffineDimExpr(d) for d in range(3))


@pytest.mark.parametrize(
    ("results", "source", "shape"),
    [
        ((P * 3 + L, K), (7, 5), (3, 5, 3)),
        ((P * 3 + L, K), (12, 5), (3, 4, 3)),
        ((L * 3 + P, K), (9, 4), (3, 4, 3)),
        ((P * 4 + L, K), (12, 4), (3, 4, 3)),  # with gaps
        ((P * 2 + L, K), (9, 4), (3, 4, 3)),  # overlapping
        ((P * 3 + L, K + 1), (9, 4), (3, 4, 3)),
        ((P, K), (3, 4), (3, 4, 2)),  # repeated
        ((K // 2, P * 3 + L), (2, 9), (3, 4, 3)),
        ((P * 3 + L, K), (1, 4), (1, 4, 1)),
    ],
)
def test_packing_means_what_the_map_says(results, source, shape):
    array = np.arange(1, math.prod(source) + 1, dtype=np.float32).reshape(source)
    map = AffineMap(3, 0, results)
    packed = pack_array(array, PackAttr.of(map, source), shape)
    for position in np.ndindex(shape):
        at = map.eval(position, [])
        inside = all(i < n for i, n in zip(at, source, strict=True))
        assert packed[position] == (array[tuple(at)] if inside else 0)


def packed_kernel() -> str:
    attribute = AffineMapAttr(transposing_pack().map.data)
    return PACKED.replace("PACK", str(attribute))


def test_packed_weight_is_made_once_for_all_launches():
    body = f"""
      %w = {weight("w")}
      %0 = {launch("packed", ("%x", T), ("%w", T))}
      %1 = {launch("packed", ("%0", T), ("%w", T))}
      func.return %1 : {T}"""
    store = WeightStore({"w": X * 10})
    _, main, ctx = plan(body, T, packed_kernel(), store)
    names = [op.name_.root_reference.data for op in main.walk() if op.name == "memref.get_global"]
    assert names == ["w_packed"]
    expected = pack_array(X * 10, transposing_pack(), (2, 2, 3))
    np.testing.assert_array_equal(ctx.weights["w_packed"], expected)


def test_streamed_weights_are_in_the_arena_while_their_kernel_runs():
    body = (
        f"%w = {weight('w')} %v = {weight('v')} "
        f"%a = {launch('add', ('%x', T), ('%w', T))} %b = {launch('add', ('%a', T), ('%v', T))} "
        f"%c = {launch('add', ('%b', T), ('%w', T))} func.return %c, %v : {T}, {T}"
    )
    outputs = [np.zeros_like(X), np.zeros_like(X)]
    _, plain, _ = plan(body, f"{T}, {T}", weights=W)
    _, main, _ = plan(body, f"{T}, {T}", weights=W, streamed=True)
    run(main, [X], outputs, W, NUMPY)
    np.testing.assert_array_equal(outputs[0], X + 2 * W["w"] + W["v"])
    np.testing.assert_array_equal(outputs[1], W["v"])
    assert program_arena(main)[0] == program_arena(plain)[0] + 64  # one weight at a time
    stored = [op.memref for op in main.walk() if isinstance(op, memref.GetGlobalOp)]
    assert all(isinstance(use.operation, memref.CopyOp) for w in stored for use in w.uses)
    assert "tilecast.streamed" in main.attributes
    assert "tilecast.streamed" not in plain.attributes


def test_packed_argument_that_is_no_weight_is_refused():
    body = f"%0 = {launch('packed', ('%x', T), ('%x', T))} func.return %0 : {T}"
    with pytest.raises(LoweringError, match="not a weight"):
        plan(body, T, packed_kernel())


def test_launch_of_a_missing_kernel_is_refused():
    body = f"%0 = {launch('nothing', ('%x', T))} func.return %0 : {T}"
    with pytest.raises(LoweringError, match="nothing"):
        plan(body, T)


@pytest.mark.parametrize("result", ["tensor<9xf32>", "tensor<8xi32>"])
def test_launch_with_wrong_types_is_refused(result):
    body = f"%0 = {launch('flat', ('%x', T), result=result)} func.return %0 : {result}"
    with pytest.raises(LoweringError, match="expected memref<8xf32>"):
        plan(body, result)


def test_kernel_may_see_an_argument_under_another_shape():
    body = f"%0 = {launch('flat', ('%x', T))} func.return %0 : {T}"
    outputs, _ = execute(body, [T])
    np.testing.assert_array_equal(outputs[0], X + 7)


def test_unfused_op_in_main_is_refused():
    body = f'%0 = "graph.pointwise"(%x) <{{"fn" = "neg"}}> : ({T}) -> {T} func.return %0 : {T}'
    with pytest.raises(LoweringError, match=r"graph\.pointwise"):
        plan(body, T)


def test_module_without_main_is_left_alone():
    ctx = CompileContext()
    module = Parser(ctx, f"builtin.module {{ {KERNELS} }}").parse_module()
    before = str(module)
    PlanMemoryPass().apply(ctx, module)
    assert str(module) == before


def test_semaphores_are_cleared_once_and_shared():
    kernels = """
  func.func @few(%0: memref<2x4xf32>, %1: memref<2x4xf32>, %2: memref<3xi32>)
      attributes {"tilecast.roles" = ["in", "out", "semaphores"]} { func.return }
  func.func @many(%0: memref<2x4xf32>, %1: memref<2x4xf32>, %2: memref<5xi32>)
      attributes {"tilecast.roles" = ["in", "out", "semaphores"]} { func.return }
"""
    body = f"""
      %a = {launch("few", ("%x", T))}
      %b = {launch("many", ("%a", T))}
      func.return %b : {T}"""
    _, main, ctx = plan(body, T, kernels)
    ops = list(main.body.block.ops)
    copies = [op for op in ops if isinstance(op, memref.CopyOp)]
    calls = [op for op in ops if isinstance(op, CallOp)]
    assert len(copies) == 1
    assert ops.index(copies[0]) < ops.index(calls[0])
    np.testing.assert_array_equal(ctx.weights["zeros"], np.zeros(5, np.int32))
    views = [copies[0].destination, *(call.arguments[-1] for call in calls)]
    offsets = {view.owner.byte_shift.owner.value.value.data for view in views}
    assert len(offsets) == 1
    assert calls[0].arguments[1].owner.byte_shift.owner.value.value.data not in offsets


UPDATE = """
  func.func @set(%0: memref<2x4xf32>, %1: memref<2x4xf32>, %2: memref<2x4xf32>)
      attributes {"tilecast.in_place" = #builtin.int<0>, "tilecast.roles" = ["in", "in", "out"]} {
    func.return
  }
"""


def pairs_after(body: str, *results: str) -> tuple[tuple[int, int], ...]:
    _, main, _ = plan(body, ", ".join(results), KERNELS + UPDATE)
    return pairs_of(main)


def test_an_update_may_have_the_memory_of_its_input():
    x = ("%x", T)
    body = f"%a = {launch('neg', x)} %b = {launch('set', x, ('%a', T))} "
    assert pairs_after(body + f"func.return %b : {T}", T) == ((0, 0),)


def test_two_updates_are_one_array():
    x = ("%x", T)
    body = (
        f"%a = {launch('neg', x)} %b = {launch('set', x, ('%a', T))} "
        f"%c = {launch('neg', ('%b', T))} %d = {launch('set', ('%b', T), ('%c', T))} "
        f"%e = {launch('neg', ('%d', T))} func.return %e, %d : {T}, {T}"
    )
    assert pairs_after(body, T, T) == ((0, 1),)
    _, main, _ = plan(body, f"{T}, {T}", KERNELS + UPDATE)
    calls = [op for op in main.body.block.ops if isinstance(op, CallOp)]
    output = main.body.block.args[2]
    assert calls[1].arguments[2] is output
    assert calls[3].arguments[0] is output
    assert calls[3].arguments[2] is output


@pytest.mark.parametrize("late", ["reader", "result", "operand"])
def test_an_input_that_is_read_later_stays_as_it_is(late: str):
    x = ("%x", T)
    if late == "reader":
        body = f"%b = {launch('set', x, x)} %a = {launch('neg', x)} func.return %a, %b : {T}, {T}"
    elif late == "result":
        body = f"%a = {launch('neg', x)} %b = {launch('set', x, ('%a', T))} "
        body += f"func.return %x, %b : {T}, {T}"
    else:
        body = f"%b = {launch('set', x, x)} func.return %b, %b : {T}, {T}"
    assert pairs_after(body, T, T) == ()
