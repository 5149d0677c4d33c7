"""Which ops end up in one kernel, and that grouping does not change results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tilecast.dialects import graph
from tilecast.dialects.errors import LoweringError
from tilecast.dialects.graph.opaque import ArgsortOp
from tilecast.dialects.reference.linalg import evaluate
from tilecast.passes.context import CompileContext
from tilecast.passes.graph.convert_graph_to_linalg import ConvertGraphToLinalgPass
from tilecast.passes.graph.deduplicate_kernels import DeduplicateKernelsPass
from tilecast.passes.graph.fuse import FusePass, fuse
from tilecast.passes.graph.fusion_rules import RuleGrouping
from tilecast.passes.graph.grouping_search.moves import moves
from tilecast.passes.graph.grouping_search.partition import Partition, Program
from tilecast.passes.graph.groups import (
    Group,
    Grouping,
    check_group_is_legal,
    check_groups_are_legal,
    computed_ops,
)
from xdsl.builder import Builder
from xdsl.dialects.builtin import (
    AffineMapAttr,
    ModuleOp,
    StringAttr,
    TensorType,
    UnitAttr,
    f32,
    i8,
    i64,
)
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap
from xdsl.rewriter import InsertPoint

ALLOWED_IN_MAIN = (graph.WeightOp, graph.ReshapeOp, graph.LaunchOp, ReturnOp)


def tensor(*shape: int, element: Attribute = f32) -> TensorType[Attribute]:
    return TensorType(element, shape)


class Main:
    """A `@main` under construction."""

    def __init__(self, *inputs: TensorType[Attribute]) -> None:
        self.func = FuncOp("main", (list(inputs), []))
        self.builder = Builder(InsertPoint.at_end(self.func.body.block))
        self.inputs = self.func.args
        self.weights: dict[str, tuple[int, ...]] = {}

    def __call__(self, op: graph.GraphOp) -> SSAValue:
        return self.builder.insert(op).result

    def weight(self, *shape: int) -> SSAValue:
        name = f"w{len(self.weights)}"
        self.weights[name] = shape
        return self(graph.WeightOp(name, tensor(*shape)))

    def fn(self, name: str, *operands: SSAValue) -> SSAValue:
        shape = graph.broadcast_shapes([graph.shape_of(v) for v in operands])
        return self(graph.PointwiseOp(name, operands, tensor(*shape)))

    def linear(self, x: SSAValue, n: int) -> SSAValue:
        *lead, k = graph.shape_of(x)
        w, b = self.weight(n, k), self.weight(n)
        return self(graph.LinearOp(x, w, b, tensor(*lead, n)))

    def norm(self, x: SSAValue) -> SSAValue:
        n = graph.shape_of(x)[-1]
        return self(graph.NormOp("layer", x, self.weight(n), self.weight(n), 1, 1e-5))

    def view(
        self, x: SSAValue, shape: Sequence[int], map: Callable[..., Sequence[AffineExpr | int]]
    ) -> SSAValue:
        dims = [AffineExpr.dimension(d) for d in range(len(shape))]
        exprs = [AffineExpr.constant(e) if isinstance(e, int) else e for e in map(*dims)]
        attribute = AffineMapAttr(AffineMap(len(shape), 0, tuple(exprs)))
        return self(graph.ViewOp(x, attribute, tensor(*shape)))

    def reshape(self, x: SSAValue, *shape: int) -> SSAValue:
        return self(graph.ReshapeOp(x, tensor(*shape)))

    def transpose(self, x: SSAValue) -> SSAValue:
        m, n = graph.shape_of(x)
        return self.view(x, (n, m), lambda i, j: (j, i))

    def module(self, *results: SSAValue) -> ModuleOp:
        self.builder.insert(ReturnOp(*results))
        types = [v.type for v in results]
        function_type = self.func.function_type
        self.func.function_type = type(function_type).from_lists(list(function_type.inputs), types)
        module = ModuleOp([self.func])
        module.verify()
        return module

    def random_weights(self) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(7)
        return {name: rng.normal(size=shape) for name, shape in self.weights.items()}


def fused(module: ModuleOp) -> ModuleOp:
    FusePass().apply(CompileContext(), module)
    module.verify()
    main = function(module, "main")
    assert all(isinstance(op, ALLOWED_IN_MAIN) for op in main.body.block.ops)
    return module


def kernels(module: ModuleOp) -> list[str]:
    """Kernel names without their serial."""
    names = [op.sym_name.data for op in module.ops if isinstance(op, FuncOp)]
    return [name.rsplit("_", 1)[0] for name in names if name != "main"]


def function(module: ModuleOp, name: str) -> FuncOp:
    (func,) = [op for op in module.ops if isinstance(op, FuncOp) and op.sym_name.data == name]
    return func


class OneKernelPerOp:
    """The grouping that decides nothing: the oracle of every other one."""

    def groups(self, main: FuncOp, threads: int) -> list[Group]:
        return [Group((op,)) for op in computed_ops(main)]


class SomeMoves:
    """The rules' grouping after some random moves, those that are not legal left out."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng

    def groups(self, main: FuncOp, threads: int) -> list[Group]:
        partition = Partition(Program(main), RuleGrouping().groups(main, threads))
        for _ in range(5):
            found = list(moves(partition))
            if found:
                move = self.rng.choice(found)
                with suppress(LoweringError):
                    partition = partition.replaced(move.old, move.new)
        return list(partition.groups)


def check_results_stay(
    module: ModuleOp, weights: dict[str, np.ndarray], grouping: Grouping | None = None
) -> None:
    """Kernels of a grouping compute what one kernel per op computes."""
    plain = module.clone()
    fuse(plain, function(plain, "main"), OneKernelPerOp(), 1)
    fuse(module, function(module, "main"), grouping or RuleGrouping(), 1)
    module.verify()
    DeduplicateKernelsPass().apply(CompileContext(), module)
    results = []
    rng = np.random.default_rng(3)
    inputs = [rng.normal(size=graph.shape_of(v)) for v in function(module, "main").args]
    for candidate in (plain, module):
        ConvertGraphToLinalgPass().apply(CompileContext(), candidate)
        candidate.verify()
        results.append(evaluate(candidate, weights, inputs))
    for want, got in zip(*results, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)


HEADS, DEPTH, ROWS, HIDDEN = 4, 8, 6, 32


def transformer_layer(m: Main, x: SSAValue, mask: SSAValue) -> SSAValue:
    def heads(v: SSAValue) -> SSAValue:
        split = m.reshape(v, 1, ROWS, HEADS, DEPTH)
        return m.view(split, (1, HEADS, ROWS, DEPTH), lambda b, h, s, d: (b, s, h, d))

    q, k, v = (heads(m.linear(x, HIDDEN)) for _ in range(3))
    kept = m.view(mask, (1, HEADS, ROWS, ROWS), lambda b, h, q, k: (b, k))
    a = m(graph.AttentionOp(q, k, v, kept, 0.3, False, tensor(1, HEADS, ROWS, DEPTH)))
    back = m.view(a, (1, ROWS, HEADS, DEPTH), lambda b, s, h, d: (b, h, s, d))
    y = m.fn("add", m.linear(m.reshape(back, ROWS, HIDDEN), HIDDEN), x)
    x = m.norm(y)
    y = m.fn("gelu", m.linear(x, 2 * HIDDEN))
    return m.norm(m.fn("add", m.linear(y, HIDDEN), x))


LAYER = [
    "linear",
    "linear",
    "linear",
    "attention",
    "linear_add",
    "norm",
    "linear_gelu",
    "linear_add",
    "norm",
]


def two_layers() -> tuple[Main, ModuleOp]:
    m = Main(tensor(ROWS, HIDDEN), tensor(1, ROWS))
    x, mask = m.inputs
    mask = m.fn("mul", mask, m(graph.FullOp(-1e4, tensor())))
    for _ in range(2):
        x = transformer_layer(m, x, mask)
    return m, m.module(x)


def test_transformer_layers_have_nine_kernels_each() -> None:
    _, module = two_layers()
    assert kernels(fused(module)) == ["mul", *LAYER, *LAYER]


def test_equal_layers_share_their_kernels() -> None:
    _, module = two_layers()
    DeduplicateKernelsPass().apply(CompileContext(), fused(module))
    module.verify()
    names = ["mul", "linear", "attention", "linear_add", "norm", "linear_gelu", "linear_add"]
    assert kernels(module) == names
    launches = [op for op in module.walk() if isinstance(op, graph.LaunchOp)]
    assert len(launches) == 19


def test_transformer_results_stay() -> None:
    m, module = two_layers()
    check_results_stay(module, m.random_weights())


def test_attention_returns_its_permuted_result() -> None:
    _, module = two_layers()
    fused(module)
    (attention, _) = [
        op
        for op in module.ops
        if isinstance(op, FuncOp) and op.sym_name.data.startswith("attention")
    ]
    (result,) = attention.function_type.outputs
    assert result == tensor(1, ROWS, HEADS, DEPTH)


def test_weights_are_marked_and_values_are_not() -> None:
    m = Main(tensor(3, 5))
    module = fused(m.module(m.linear(m.inputs[0], 7)))
    kernel = function(module, "linear_0")
    assert kernel.arg_attrs is not None
    marks = [attributes.data.get("tilecast.weight") for attributes in kernel.arg_attrs]
    assert marks == [None, UnitAttr(), UnitAttr()]


def test_a_reshaped_weight_is_still_passed_as_the_weight() -> None:
    m = Main(tensor(3, 4))
    w = m.reshape(m.weight(2, 2), 4)
    module = fused(m.module(m.fn("mul", m.inputs[0], w)))
    launch = next(op for op in module.walk() if isinstance(op, graph.LaunchOp))
    assert isinstance(launch.arguments[1].owner, graph.WeightOp)


def test_an_intermediate_that_others_need_is_a_second_result() -> None:
    m = Main(tensor(3, 5))
    a = m.linear(m.inputs[0], 5)
    b = m.fn("relu", a)
    module = fused(m.module(m.linear(a, 2), m.linear(b, 2)))
    assert kernels(module) == ["linear_relu", "linear", "linear"]
    assert len(function(module, "linear_relu_0").function_type.outputs) == 2


def test_two_anchors_never_share_a_kernel() -> None:
    m = Main(tensor(3, 5))
    a, b = m.linear(m.inputs[0], 5), m.linear(m.inputs[0], 5)
    module = fused(m.module(m.fn("mul", m.fn("silu", a), b)))
    assert kernels(module) == ["linear", "linear_silu_mul"]


def test_residual_sum_and_norm_are_one_kernel_with_both_results() -> None:
    m = Main(tensor(3, 5), tensor(3, 5))
    x = m.fn("add", *m.inputs)
    module = fused(m.module(x, m.fn("relu", m.norm(x))))
    assert kernels(module) == ["add_norm_relu"]


def test_embedding_sum_and_norm_are_one_kernel() -> None:
    m = Main(tensor(3, element=i64))
    x = m(graph.EmbeddingOp(m.weight(11, 4), m.inputs[0], tensor(3, 4)))
    module = fused(m.module(m.norm(m.fn("add", x, m.weight(3, 4)))))
    assert kernels(module) == ["embedding_add_norm"]


def test_a_norm_written_out_is_one_kernel() -> None:
    m = Main(tensor(3, 6, 5))
    x = m.inputs[0]
    total = m(graph.ReduceOp("sum", m.fn("mul", x, x), [2], tensor(3, 6)))
    mean = m.fn("mul", m.reshape(total, 3, 6, 1), m(graph.FullOp(0.2, tensor())))
    module = m.module(m.fn("mul", m.fn("mul", x, m.fn("rsqrt", mean)), m.weight(5)))
    copy = module.clone()
    assert kernels(fused(copy)) == ["mul_sum_mul_mul"]
    check_results_stay(module, m.random_weights())


def test_a_full_reduction_and_its_use_at_every_element_are_two_kernels_if_large() -> None:
    for rows, expected in ((512, ["exp_sum", "div"]), (8, ["exp_sum_div"])):
        m = Main(tensor(rows, 128))
        total = m(graph.ReduceOp("sum", m.fn("exp", m.inputs[0]), [0, 1], tensor()))
        module = fused(m.module(m.fn("div", m.inputs[0], total)))
        assert kernels(module) == expected


@pytest.mark.parametrize(
    ("rows", "length", "expected"),
    [
        (64, 1024, ["norm_relu"]),
        (32, 1024, ["norm_relu"]),  # little work
        (32, 4096, ["norm", "relu"]),  # the intermediate stays near a core
        (32, 8192, ["norm_relu"]),
        (8, 32768, ["norm", "relu"]),  # too few rows to share out
    ],
)
def test_few_rows_share_a_kernel_where_their_intermediate_leaves_the_caches(
    rows: int, length: int, expected: list[str]
) -> None:
    m = Main(tensor(rows, length))
    assert kernels(fused(m.module(m.fn("relu", m.norm(m.inputs[0]))))) == expected


def test_unit_dims_do_not_separate_an_epilogue_from_its_anchor() -> None:
    m = Main(tensor(4, 8), tensor(1, 4, 6))
    y = m.reshape(m.linear(m.inputs[0], 6), 1, 4, 6)
    module = m.module(m.fn("add", y, m.inputs[1]))
    assert kernels(fused(module.clone())) == ["linear_add"]
    check_results_stay(module, m.random_weights())


def test_gates_read_their_part_of_a_sum_in_its_kernel() -> None:
    m = Main(tensor(4, 12), tensor(4, 12))
    gates = m.fn("add", *m.inputs)
    parts = [m.view(gates, (4, 6), lambda i, j, k=k: (i, j + k)) for k in (0, 6)]
    module = m.module(m.fn("mul", m.fn("sigmoid", parts[0]), m.fn("tanh", parts[1])))
    assert kernels(fused(module.clone())) == ["add_sigmoid_tanh_mul"]
    check_results_stay(module, {})


def test_a_transposed_read_is_no_reason_to_fuse() -> None:
    m = Main(tensor(5, 5))
    x = m.fn("exp", m.inputs[0])
    module = m.module(m.fn("add", x, m.transpose(x)))
    assert kernels(fused(module.clone())) == ["exp", "add"]
    check_results_stay(module, {})


def test_a_path_that_leaves_and_comes_back_prevents_fusion() -> None:
    m = Main(tensor(5, 5))
    x = m.fn("exp", m.inputs[0])
    y = m.linear(x, 5)
    module = m.module(m.fn("add", m.transpose(y), m.fn("neg", x)))
    names = kernels(fused(module.clone()))
    assert names == ["exp_neg", "linear", "add"]
    check_results_stay(module, m.random_weights())


def test_what_only_a_mask_needs_is_computed_in_attention() -> None:
    m = Main(tensor(2, 5, 4), tensor(5))
    q, keep = m.inputs
    mask = m.fn("mul", keep, m(graph.FullOp(-1e4, tensor())))
    mask = m.view(mask, (2, 5, 5), lambda b, i, j: (j,))
    module = m.module(m(graph.AttentionOp(q, q, q, mask, 0.5, False, tensor(2, 5, 4))))
    assert kernels(fused(module.clone())) == ["mul_attention"]
    check_results_stay(module, {})


@pytest.mark.parametrize(("queries", "expected"), [(1, ["mul_attention"]), (3, None)])
def test_integers_of_a_cache_are_widened_where_one_query_reads_them(
    queries: int, expected: list[str] | None
) -> None:
    m = Main(tensor(2, queries, 4), tensor(2, 5, 4, element=i8), tensor(2, 5, 1))
    q, codes, scale = m.inputs
    key = m.fn("mul", m(graph.CastOp(codes, tensor(2, 5, 4))), scale)
    value = m.fn("mul", m(graph.CastOp(codes, tensor(2, 5, 4))), scale)
    result = tensor(2, queries, 4)
    module = m.module(m(graph.AttentionOp(q, key, value, None, 0.5, False, result)))
    found = kernels(fused(module.clone()))
    assert found == expected if expected else "attention" in found
    check_results_stay(module, {})


def test_a_masked_mean_over_rows_reads_its_mask_in_the_sum() -> None:
    m = Main(tensor(6, 4), tensor(6, 1))
    x, mask = m.inputs
    kept = m.fn("neg", mask)
    total = m(graph.ReduceOp("sum", m.fn("mul", x, kept), [0], tensor(4)))
    count = m(graph.ReduceOp("sum", kept, [0], tensor(1)))
    module = m.module(m.fn("div", total, count))
    assert sorted(kernels(fused(module.clone()))) == ["mul_sum_div", "neg", "sum"]
    check_results_stay(module, {})


def test_convolution_takes_its_residual_and_activation_along() -> None:
    m = Main(tensor(1, 2, 6, 6))
    x = m.inputs[0]
    y = m(
        graph.ConvOp(
            x, m.weight(2, 2, 3, 3), m.weight(2), [1, 1], [1, 1], [1, 1], 1, tensor(1, 2, 6, 6)
        )
    )
    y = m.fn("relu", m.fn("add", y, x))
    pooled = graph.PoolOp("max", y, [2, 2], [2, 2], [0, 0], [0, 0], [1, 1], tensor(1, 2, 3, 3))
    module = m.module(m(pooled))
    assert kernels(fused(module.clone())) == ["conv_add_relu", "pool"]
    check_results_stay(module, m.random_weights())


def test_cat_computes_what_only_it_reads() -> None:
    m = Main(tensor(3, 5), tensor(2, 5))
    a, b = m.fn("exp", m.inputs[0]), m.fn("neg", m.inputs[1])
    module = m.module(m(graph.CatOp([a, b], 0, tensor(5, 5))), b)
    assert sorted(kernels(fused(module.clone()))) == ["exp_cat", "neg"]
    check_results_stay(module, {})


def test_returned_views_and_constants_get_kernels() -> None:
    m = Main(tensor(3, 5))
    module = m.module(m.transpose(m.inputs[0]), m(graph.FullOp(2.0, tensor(2, 2))), m.inputs[0])
    assert kernels(fused(module.clone())) == ["copy", "full"]
    check_results_stay(module, {})


def test_a_permuted_input_under_a_merging_reshape_is_stored_once() -> None:
    m = Main(tensor(2, 3, 4))
    turned = m.view(m.inputs[0], (2, 4, 3), lambda b, i, j: (b, j, i))
    module = m.module(m.linear(m.reshape(turned, 2, 12), 5))
    assert kernels(fused(module.clone())) == ["copy", "linear"]
    check_results_stay(module, m.random_weights())


def test_a_splitting_reshape_of_a_slice_is_an_affine_view_in_the_kernel() -> None:
    m = Main(tensor(6, 8))
    part = m.view(m.inputs[0], (6, 4), lambda i, j: (i, j + 4))
    heads = m.view(m.reshape(part, 6, 2, 2), (2, 6, 2), lambda h, s, d: (s, h, d))
    module = m.module(m(graph.AttentionOp(heads, heads, heads, None, 1.0, False, tensor(2, 6, 2))))
    copy = fused(module.clone())
    assert kernels(copy) == ["attention"]
    assert not any(isinstance(op, graph.ReshapeOp) for op in copy.walk())
    check_results_stay(module, {})


def test_only_launches_come_out_of_a_main_that_computes_nothing() -> None:
    m = Main(tensor(3, 5))
    module = fused(m.module(m.inputs[0]))
    assert kernels(module) == []


def test_a_fused_main_is_not_changed_again() -> None:
    _, module = two_layers()
    before = str(fused(module))
    assert str(fused(module)) == before


def test_deduplication_ignores_locations_and_keeps_different_kernels() -> None:
    m = Main(tensor(3, 5))
    values = [m.linear(m.inputs[0], 5), m.linear(m.inputs[0], 5), m.linear(m.inputs[0], 6)]
    for i, value in enumerate(values):
        value.owner.attributes["loc"] = StringAttr(f"layer.{i}")
    module = fused(m.module(*values))
    DeduplicateKernelsPass().apply(CompileContext(), module)
    assert kernels(module) == ["linear", "linear"]
    labels = [op.label for op in module.walk() if isinstance(op, graph.LaunchOp)]
    assert labels == [StringAttr(f"layer.{i}") for i in range(3)]


def test_deduplication_of_different_kernels_does_nothing() -> None:
    m = Main(tensor(3, 5))
    module = fused(m.module(m.linear(m.inputs[0], 5), m.linear(m.inputs[0], 6)))
    before = str(module)
    DeduplicateKernelsPass().apply(CompileContext(), module)
    assert str(module) == before


def test_an_illegal_group_is_refused() -> None:
    m = Main(tensor(5, 5))
    x = m.fn("exp", m.inputs[0])
    y = m.fn("neg", m.transpose(x))
    z = m.fn("add", x, y)
    m.module(z)
    with pytest.raises(LoweringError, match="leaves the group"):
        check_group_is_legal(Group((x.owner, z.owner)))
    check_group_is_legal(Group((x.owner, y.owner, z.owner)))


def test_a_copy_is_computed_by_its_readers_and_written_by_nobody() -> None:
    m = Main(tensor(5, 7))
    x = m.fn("exp", m.inputs[0])
    results = [m.linear(x, 3), m.linear(x, 4)]
    module = m.module(*results)
    main = function(module, "main")
    copied = [Group((x.owner, r.owner), frozenset((x.owner,))) for r in results]
    check_groups_are_legal(copied, main)
    with pytest.raises(LoweringError, match="has no copy"):
        check_groups_are_legal([copied[0], Group((results[1].owner,))], main)
    with pytest.raises(LoweringError, match="in two groups"):
        check_groups_are_legal([copied[0], Group((x.owner, results[1].owner))] * 2, main)

    class Copied:
        def groups(self, main: FuncOp, threads: int) -> list[Group]:
            rules = Partition(Program(main), RuleGrouping().groups(main, threads))
            (copy,) = [move for move in moves(rules) if move.kind == "copy"]
            return list(rules.replaced(copy.old, copy.new).groups)

    check_results_stay(module, m.random_weights(), Copied())
    assert kernels(module) == ["exp_linear", "exp_linear"]
    launches = [op for op in module.walk() if isinstance(op, graph.LaunchOp)]
    assert [len(op.results_) for op in launches] == [1, 1]


def test_an_opaque_op_shares_its_kernel_with_no_other() -> None:
    m = Main(tensor(5, 7))
    x = m.fn("exp", m.inputs[0])
    order = m(ArgsortOp(x, 1, False, 7))
    m.module(x, order)
    with pytest.raises(LoweringError, match="opaque"):
        check_groups_are_legal([Group((x.owner, order.owner))], m.func)
    partition = Partition(Program(m.func), [Group((x.owner,)), Group((order.owner,))])
    assert list(moves(partition)) == []


N = 4


@st.composite
def programs(draw: st.DrawFn) -> tuple[Main, ModuleOp]:
    """Random programs over N x N matrices and N vectors, with views, reductions and anchors."""
    m = Main(tensor(N, N), tensor(N, N), tensor(N))
    values = list(m.inputs)
    for _ in range(draw(st.integers(2, 14))):
        x, y = draw(st.sampled_from(values)), draw(st.sampled_from(values))
        matrices = [v for v in values if graph.shape_of(v) == (N, N)]
        a = draw(st.sampled_from(matrices))
        match draw(st.integers(0, 9)):
            case 0 | 1:
                values.append(m.fn("add", x, y))
            case 2:
                values.append(m.fn("tanh", x))
            case 3:
                values.append(m(graph.SoftmaxOp(x, -1)))
            case 4:
                values.append(m.linear(a, N))
            case 5:
                dim = draw(st.integers(0, 1))
                values.append(m(graph.ReduceOp("sum", a, [dim], tensor(N))))
            case 6:
                values.append(m.transpose(a))
            case 7:
                flat = m.reshape(a, N * N)
                half = m.view(flat, (N * N,), lambda i: (i * -1 + N * N - 1,))
                values.append(m.reshape(half, N, N))
            case 8:
                b = draw(st.sampled_from(matrices))
                values.append(m(graph.MatmulOp(a, b, tensor(N, N))))
            case _:
                values.append(m.view(a, (N,), lambda i: (1, i)))
    chosen = draw(st.lists(st.sampled_from(values), min_size=1, max_size=3))
    return m, m.module(*[*chosen, values[-1]])


@settings(max_examples=25)
@given(programs(), st.randoms(use_true_random=False))
def test_moves_never_change_results(program: tuple[Main, ModuleOp], rng: Random) -> None:
    m, module = program
    check_results_stay(module, m.random_weights(), SomeMoves(rng))


@settings(max_examples=60)
@given(programs())
def test_grouping_never_changes_results(program: tuple[Main, ModuleOp]) -> None:
    m, module = program
    check_results_stay(module, m.random_weights())
