"""Every conversion rule: the converted kernel, evaluated by the reference, against torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from tilecast.dialects import graph
from tilecast.dialects.errors import LoweringError
from tilecast.dialects.graph.control import CONTROL_OPS
from tilecast.dialects.graph.opaque import OPAQUE_OPS
from tilecast.dialects.graph.recurrent import RecurrentOp
from tilecast.dialects.graph.winograd import WinogradConvOp
from tilecast.dialects.reference.linalg import evaluate_kernel
from tilecast.dialects.scalar import FUNCTIONS
from tilecast.passes.context import CompileContext
from tilecast.passes.graph.convert_graph_to_linalg import KEPT, ConvertGraphToLinalgPass
from tilecast.passes.graph.linalg_rules import RULES
from tilecast.passes.graph.linalg_rules.scalar_functions import SCALAR_RULES
from xdsl.builder import Builder
from xdsl.dialects.arith import DivSIOp, RemSIOp, SelectOp
from xdsl.dialects.builtin import (
    AffineMapAttr,
    FloatAttr,
    ModuleOp,
    TensorType,
    f32,
    f64,
    i1,
    i32,
    i64,
)
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.dialects.linalg.attrs import IteratorType
from xdsl.dialects.linalg.ops import GenericOp
from xdsl.dialects.tensor import ExtractOp
from xdsl.ir import Attribute, SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineMap
from xdsl.rewriter import InsertPoint

ELEMENTS = {
    torch.float32: f32,
    torch.float64: f64,
    torch.int64: i64,
    torch.int32: i32,
    torch.bool: i1,
}
NAN, INF = float("nan"), float("inf")
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.5, 88.8, -104.0, 1e-3, INF, -INF, NAN, 7.25]


def tensor(shape: Sequence[int], element: Attribute = f32) -> TensorType[Attribute]:
    return TensorType(element, shape)


def kernel(
    inputs: Sequence[torch.Tensor],
    build: Callable[..., graph.GraphOp | SSAValue],
) -> FuncOp:
    """A converted, verified kernel; `build(insert, *arguments)` gives its result."""
    types = [tensor(x.shape, ELEMENTS[x.dtype]) for x in inputs]
    func = FuncOp("kernel", (types, []), visibility="private")
    builder = Builder(InsertPoint.at_end(func.body.block))

    def insert(op: graph.GraphOp) -> SSAValue:
        return builder.insert(op).result

    result = build(insert, *func.args)
    builder.insert(ReturnOp(result))
    func.function_type = type(func.function_type).from_lists(types, [result.type])
    module = ModuleOp([func])
    module.verify()
    ConvertGraphToLinalgPass().apply(CompileContext(), module)
    module.verify()
    return func


def run(
    inputs: Sequence[torch.Tensor],
    build: Callable[..., SSAValue],
    dtype: type[np.floating] = np.float64,
) -> torch.Tensor:
    func = kernel(inputs, build)
    (result,) = evaluate_kernel(func, [x.numpy().copy() for x in inputs], dtype)
    assert not any(isinstance(op, graph.PointwiseOp) for op in func.walk())
    check_generics(func)
    return torch.from_numpy(result.copy())


def check_generics(func: FuncOp) -> None:
    """What later stages rely on: readable extents, plain output dims, reductions not written."""
    for op in func.walk():
        if not isinstance(op, GenericOp):
            continue
        plain = {
            expr.position
            for map in op.indexing_maps
            for expr in map.data.results
            if isinstance(expr, AffineDimExpr)
        }
        assert plain == set(range(len(op.iterator_types)))
        written = [expr.position for expr in list(op.indexing_maps)[-1].data.results]
        parallel = [d for d, it in enumerate(op.iterator_types) if it.data == IteratorType.PARALLEL]
        assert sorted(written) == parallel


def close(got: torch.Tensor, want: torch.Tensor, tolerance: float = 2e-6) -> None:
    assert got.shape == want.shape
    if not want.dtype.is_floating_point:
        assert torch.equal(got.to(want.dtype), want)
        return
    torch.testing.assert_close(
        got.double(), want.double(), rtol=tolerance, atol=tolerance, equal_nan=True
    )


def normal(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape) + 1)).to(dtype)


def pointwise(fn: str, element: Attribute | None = None) -> Callable[..., SSAValue]:
    def build(insert: Callable[..., SSAValue], *operands: SSAValue) -> SSAValue:
        shape = graph.broadcast_shapes([graph.shape_of(v) for v in operands])
        is_truth = FUNCTIONS[fn].result == "bool"
        out = i1 if is_truth else element or graph.element_of(operands[-1])
        return insert(graph.PointwiseOp(fn, operands, tensor(shape, out)))

    return build


def test_every_graph_op_has_a_rule_or_is_kept() -> None:
    kept = {*KEPT, *OPAQUE_OPS, RecurrentOp, *CONTROL_OPS}
    kept |= {graph.WeightOp, graph.LaunchOp, graph.SizeIndexOp, WinogradConvOp}
    assert set(RULES) | kept == set(graph.Graph.operations)


def test_every_scalar_function_has_a_rule() -> None:
    assert set(SCALAR_RULES) == set(FUNCTIONS)


UNARY = {
    "neg": torch.neg,
    "abs": torch.abs,
    "sign": torch.sign,
    "reciprocal": torch.reciprocal,
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "exp": torch.exp,
    "exp2": torch.exp2,
    "expm1": torch.expm1,
    "log": torch.log,
    "log2": torch.log2,
    "log10": torch.log10,
    "log1p": torch.log1p,
    "sin": torch.sin,
    "cos": torch.cos,
    "tan": torch.tan,
    "asin": torch.asin,
    "acos": torch.acos,
    "atan": torch.atan,
    "sinh": torch.sinh,
    "cosh": torch.cosh,
    "tanh": torch.tanh,
    "erf": torch.erf,
    "sigmoid": torch.sigmoid,
    "floor": torch.floor,
    "ceil": torch.ceil,
    "round": torch.round,
    "trunc": torch.trunc,
    "isnan": torch.isnan,
    "isinf": torch.isinf,
    "relu": torch.relu,
    "silu": F.silu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
}


@pytest.mark.parametrize("fn", UNARY)
def test_unary_functions_agree_with_torch_on_special_values(fn: str) -> None:
    x = torch.tensor(SPECIAL, dtype=torch.float64)
    close(run([x], pointwise(fn)), UNARY[fn](x))


def test_gelu_has_the_right_limits() -> None:
    finite = torch.tensor([v for v in SPECIAL if abs(v) < INF], dtype=torch.float64)
    close(run([finite], pointwise("gelu")), F.gelu(finite))
    assert run([torch.tensor([INF])], pointwise("gelu")).item() == INF


BINARY = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "remainder": torch.remainder,
    "fmod": torch.fmod,
    "floor_div": torch.floor_divide,
    "trunc_div": lambda a, b: torch.div(a, b, rounding_mode="trunc"),
    "pow": torch.pow,
    "atan2": torch.atan2,
    "eq": torch.eq,
    "ne": torch.ne,
    "lt": torch.lt,
    "le": torch.le,
    "gt": torch.gt,
    "ge": torch.ge,
}


@pytest.mark.parametrize("fn", BINARY)
def test_binary_functions_agree_with_torch_on_all_pairs_of_special_values(fn: str) -> None:
    x = torch.tensor(SPECIAL, dtype=torch.float64)
    a, b = x[:, None].expand(-1, len(x)).contiguous(), x
    close(run([a, b], pointwise(fn)), BINARY[fn](a, b))


def test_remainders_are_exact_in_single_precision() -> None:
    a = torch.tensor([1e7, -1e7, 5.3, 2.0**40, 0.3, 16777213.0, -7.0])
    b = torch.tensor([3.7, 0.1, -0.7, 3.0, 0.1, 3.3, 7.0])
    for fn in ("fmod", "remainder"):
        got = run([a, b], pointwise(fn), np.float64)
        want = BINARY[fn](a.double(), b.double())
        torch.testing.assert_close(got, want, rtol=0, atol=1e-8)


INTEGER_BINARY = [
    "add",
    "sub",
    "mul",
    "maximum",
    "minimum",
    "remainder",
    "fmod",
    "floor_div",
    "trunc_div",
    "eq",
    "lt",
    "ge",
]


@pytest.mark.parametrize("fn", INTEGER_BINARY)
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32])
def test_integer_functions_are_exact(fn: str, dtype: torch.dtype) -> None:
    a = torch.arange(-7, 8, dtype=dtype)[:, None]
    b = torch.tensor([-5, -3, -2, -1, 1, 2, 3, 7], dtype=dtype)
    close(run([a, b], pointwise(fn)), BINARY[fn](a, b))


def test_integer_divisions_never_trap() -> None:
    """By zero torch raises; compiled code must not end the process."""
    least = -(2**63)
    a, b = torch.tensor([5, least, least]), torch.tensor([0, -1, 3])
    for fn in ("floor_div", "trunc_div", "remainder", "fmod"):
        func = kernel([a, b], pointwise(fn))
        for op in func.walk():
            if isinstance(op, DivSIOp | RemSIOp):
                guard = op.rhs.owner
                assert isinstance(guard, SelectOp)
        got = run([a, b], pointwise(fn))
        assert got[2].item() == BINARY[fn](a[2], b[2]).item()
    assert run([a, b], pointwise("remainder"))[1].item() == 0
    by_constant = kernel([a], _divided_by_three)
    assert not any(isinstance(op, SelectOp) for op in by_constant.walk())


def _divided_by_three(insert: Callable[..., SSAValue], x: SSAValue) -> SSAValue:
    three = insert(graph.FullOp(3, tensor([], i64)))
    return insert(graph.PointwiseOp("trunc_div", [x, three], x.type))


@pytest.mark.parametrize("fn", ["and", "or", "xor", "eq", "lt", "maximum", "minimum"])
def test_functions_of_truth_values(fn: str) -> None:
    a, b = torch.tensor([[False], [True]]), torch.tensor([False, True])
    ops = {"and": torch.bitwise_and, "or": torch.bitwise_or, "xor": torch.bitwise_xor}
    close(run([a, b], pointwise(fn)), (ops | BINARY)[fn](a, b))


def test_not_inverts_integers_and_truth_values() -> None:
    for x in (torch.tensor([True, False]), torch.tensor([0, 5, -1])):
        close(run([x], pointwise("not")), torch.bitwise_not(x))


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0, 3.0, 4.0, 0.5, -0.5, -1.0, -2.0, 2.5, 7.0])
def test_constant_exponents(exponent: float) -> None:
    x = torch.tensor(SPECIAL, dtype=torch.float64)

    def build(insert: Callable[..., SSAValue], x: SSAValue) -> SSAValue:
        power = insert(graph.FullOp(exponent, tensor([], f64)))
        return insert(graph.PointwiseOp("pow", [x, power], x.type))

    close(run([x], build), torch.pow(x, exponent), 1e-12)


def test_integer_powers_are_exact() -> None:
    x = torch.arange(-3, 4)[:, None]
    exponents = torch.tensor([-2, -1, 0, 1, 2, 5, 13, 64])
    wrapped = (x.abs() > 1) & (exponents > 63)
    got = run([x, exponents], pointwise("pow"))
    close(got.masked_fill(wrapped, 0), torch.pow(x, exponents).masked_fill(wrapped, 0))


def test_uniform_operands_touch_no_memory() -> None:
    def build(insert: Callable[..., SSAValue], x: SSAValue) -> SSAValue:
        two = insert(graph.FullOp(2.0, tensor([3, 1])))
        return insert(graph.PointwiseOp("mul", [x, two], x.type))

    func = kernel([normal(3, 5)], build)
    (generic,) = [op for op in func.walk() if isinstance(op, GenericOp)]
    assert list(generic.inputs) == [func.args[0]]


@pytest.mark.parametrize(
    "shapes", [[(3, 5), (5,)], [(3, 1), (1, 5)], [(7, 3, 5), (3, 1)], [(1, 1), (1,)], [(2, 3), ()]]
)
def test_operands_broadcast(shapes: list[tuple[int, ...]]) -> None:
    a, b = (normal(*shape) for shape in shapes)
    close(run([a, b], pointwise("add")), a + b)


def test_where_selects() -> None:
    x, y = normal(3, 5), normal(5)
    mask = normal(3, 1) > 0
    close(run([mask, x, y], pointwise("where")), torch.where(mask, x, y))


CASTS = [
    (torch.float32, torch.int64),
    (torch.float32, torch.bool),
    (torch.float64, torch.float32),
    (torch.float32, torch.float64),
    (torch.int64, torch.float32),
    (torch.int64, torch.int32),
    (torch.int32, torch.int64),
    (torch.int64, torch.bool),
    (torch.bool, torch.float32),
    (torch.bool, torch.int64),
]


@pytest.mark.parametrize(("source", "target"), CASTS)
def test_casts_agree_with_torch(source: torch.dtype, target: torch.dtype) -> None:
    x = torch.tensor([0.0, 1.0, -1.7, 2.9, 100.0]).to(source)

    def build(insert: Callable[..., SSAValue], x: SSAValue) -> SSAValue:
        return insert(graph.CastOp(x, tensor([5], ELEMENTS[target])))

    close(run([x], build), x.to(target))


def test_nan_is_true() -> None:
    def build(insert: Callable[..., SSAValue], x: SSAValue) -> SSAValue:
        return insert(graph.CastOp(x, tensor([2], i1)))

    assert run([torch.tensor([NAN, 0.0])], build).tolist() == [True, False]


def test_iota_counts() -> None:
    for element, dtype in ((i64, torch.int64), (f32, torch.float32)):

        def build(insert: Callable[..., SSAValue], element: Attribute = element) -> SSAValue:
            return insert(graph.IotaOp(-3, 2, tensor([7], element)))

        close(run([], build), torch.arange(-3, 11, 2, dtype=dtype))


def test_full_as_a_result_is_filled() -> None:
    def build(insert: Callable[..., SSAValue]) -> SSAValue:
        return insert(graph.FullOp(INF, tensor([2, 3])))

    close(run([], build), torch.full((2, 3), INF))


REDUCTIONS = {
    "sum": lambda x, d: x.sum(d),
    "max": lambda x, d: x.amax(d),
    "min": lambda x, d: x.amin(d),
}


@pytest.mark.parametrize("fn", REDUCTIONS)
@pytest.mark.parametrize("dims", [(0,), (1,), (2,), (0, 2), (0, 1, 2)])
def test_reductions(fn: str, dims: tuple[int, ...]) -> None:
    x = normal(3, 1, 7)

    def build(insert: Callable[..., SSAValue], v: SSAValue) -> SSAValue:
        shape = [n for d, n in enumerate(x.shape) if d not in dims]
        return insert(graph.ReduceOp(fn, v, dims, tensor(shape, graph.element_of(v))))

    close(run([x], build), REDUCTIONS[fn](x, dims))
    integers = (x * 10).long()
    close(run([integers], build), REDUCTIONS[fn](integers, dims))


def test_reductions_propagate_nan_and_infinities() -> None:
    x = torch.tensor([[1.0, NAN], [-INF, -INF], [INF, 2.0]])
    for fn in REDUCTIONS:

        def build(insert: Callable[..., SSAValue], v: SSAValue, fn: str = fn) -> SSAValue:
            return insert(graph.ReduceOp(fn, v, [1], tensor([3])))

        close(run([x], build), REDUCTIONS[fn](x, 1))


def test_products_and_truth_reductions() -> None:
    x, mask = normal(3, 5), normal(3, 5) > 0.3

    def reduce(fn: str) -> Callable[..., SSAValue]:
        def build(insert: Callable[..., SSAValue], v: SSAValue) -> SSAValue:
            return insert(graph.ReduceOp(fn, v, [1], tensor([3], graph.element_of(v))))

        return build

    close(run([x], reduce("prod")), x.prod(1))
    close(run([mask], reduce("any")), mask.any(1))
    close(run([mask], reduce("all")), mask.all(1))


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("dim", [0, 1, 2])
def test_softmax(log: bool, dim: int) -> None:
    x = normal(3, 5, 1, dtype=torch.float64)
    x[0, 0, 0] = -INF
    x[1, 1, 0] = 800.0

    def build(insert: Callable[..., SSAValue], v: SSAValue) -> SSAValue:
        return insert(graph.SoftmaxOp(v, dim, log))

    close(run([x], build), F.log_softmax(x, dim) if log else F.softmax(x, dim), 1e-12)


def test_softmax_of_a_row_of_minus_infinity_is_nan() -> None:
    x = torch.full((2, 3), -INF)
    x[1, 1] = 2.0

    def build(insert: Callable[..., SSAValue], v: SSAValue) -> SSAValue:
        return insert(graph.SoftmaxOp(v, -1))

    close(run([x], build), F.softmax(x, -1))


EXTENT = st.sampled_from([1, 2, 3, 5, 7, 8, 13])


@settings(max_examples=40)
@given(EXTENT, EXTENT, EXTENT, EXTENT)
def test_contractions_and_row_ops_of_any_shape(b: int, m: int, n: int, k: int) -> None:
    x, w, y = normal(b, m, k), normal(n, k), normal(b, k, n)

    def build(insert: Callable[..., SSAValue], *v: SSAValue) -> SSAValue:
        linear = insert(graph.LinearOp(v[0], v[1], None, tensor([b, m, n])))
        product = insert(graph.MatmulOp(v[0], v[2], tensor([b, m, n])))
        total = insert(graph.PointwiseOp("add", [linear, product], tensor([b, m, n])))
        rows = insert(graph.SoftmaxOp(total, 2))
        return insert(graph.ReduceOp("sum", rows, [0, 1], tensor([n])))

    want = F.softmax(F.linear(x, w).double() + (x @ y).double(), 2).sum((0, 1))
    close(run([x, w, y], build), want, 1e-5)


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("operands", [0, 1, 2])
def test_layer_norm(rank: int, operands: int) -> None:
    x = normal(3, 5, 7) + 100
    affine = [normal(*x.shape[3 - rank :]) + k for k in range(operands)]

    def build(insert: Callable[..., SSAValue], v: SSAValue, *rest: SSAValue) -> SSAValue:
        weight, bias = [*rest, None, None][:2]
        return insert(graph.NormOp("layer", v, weight, bias, rank, 1e-5))

    want = F.layer_norm(x.double(), x.shape[3 - rank :], *(a.double() for a in affine), eps=1e-5)
    close(run([x, *affine], build), want)


def test_rms_norm() -> None:
    x, weight = normal(3, 7), normal(7)

    def build(insert: Callable[..., SSAValue], v: SSAValue, w: SSAValue) -> SSAValue:
        return insert(graph.NormOp("rms", v, w, None, 1, 1e-6))

    close(run([x, weight], build), F.rms_norm(x, (7,), weight, 1e-6))


@pytest.mark.parametrize("lead", [(3,), (2, 3), (1, 1), ()])
@pytest.mark.parametrize("bias", [False, True])
def test_linear(lead: tuple[int, ...], bias: bool) -> None:
    inputs = [normal(*lead, 5), normal(7, 5), *([normal(7)] if bias else [])]

    def build(insert: Callable[..., SSAValue], *v: SSAValue) -> SSAValue:
        return insert(graph.LinearOp(v[0], v[1], v[2] if bias else None, tensor([*lead, 7])))

    close(run(inputs, build), F.linear(*inputs))


@pytest.mark.parametrize("batch", [(), (3,), (2, 1)])
def test_matmul(batch: tuple[int, ...]) -> None:
    a, b = normal(*batch, 5, 7), normal(*batch, 7, 1)

    def build(insert: Callable[..., SSAValue], a: SSAValue, b: SSAValue) -> SSAValue:
        return insert(graph.MatmulOp(a, b, tensor([*batch, 5, 1])))

    close(run([a, b], build), a @ b)


def test_integer_matmul_is_exact() -> None:
    a, b = torch.arange(15).reshape(3, 5), torch.arange(10).reshape(5, 2) - 4

    def build(insert: Callable[..., SSAValue], a: SSAValue, b: SSAValue) -> SSAValue:
        return insert(graph.MatmulOp(a, b, tensor([3, 2], i64)))

    close(run([a, b], build), a @ b)


CONVOLUTIONS = [
    # spatial, channels, outputs, kernel, stride, padding, dilation, groups
    ((9,), 3, 5, (3,), (1,), (0,), (1,), 1),
    ((9, 7), 3, 5, (3, 3), (2, 2), (1, 1), (1, 1), 1),
    ((9, 7), 4, 6, (3, 1), (1, 2), (2, 0), (2, 1), 2),
    ((7, 7), 4, 4, (3, 3), (1, 1), (1, 1), (1, 1), 4),
    ((7, 7), 3, 6, (3, 3), (2, 1), (1, 1), (1, 1), 3),
    ((5, 4, 3), 2, 3, (2, 2, 2), (1, 1, 1), (1, 0, 1), (1, 1, 1), 1),
    ((1, 1), 1, 1, (1, 1), (1, 1), (0, 0), (1, 1), 1),
]


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolution(case: tuple[tuple[int, ...], ...]) -> None:
    spatial, channels, outputs, window, stride, padding, dilation, groups = case
    x, bias = normal(2, channels, *spatial), normal(outputs)
    weight = normal(outputs, channels // groups, *window)
    call = [F.conv1d, F.conv2d, F.conv3d][len(spatial) - 1]
    want = call(x.double(), weight.double(), bias.double(), stride, padding, dilation, groups)

    def build(insert: Callable[..., SSAValue], *v: SSAValue) -> SSAValue:
        return insert(graph.ConvOp(*v, stride, padding, dilation, groups, tensor(want.shape)))

    close(run([x, weight, bias], build), want)


@pytest.mark.parametrize("fn", ["max", "sum"])
@pytest.mark.parametrize(
    ("stride", "padding", "dilation"), [(1, 0, 1), (2, 1, 1), (3, 1, 1), (1, 1, 2)]
)
def test_pooling(fn: str, stride: int, padding: int, dilation: int) -> None:
    x = normal(2, 3, 9, 8) - 2
    if fn == "max":
        want = F.max_pool2d(x, 3, stride, padding, dilation)
    else:
        ones = torch.ones(3, 1, 3, 3, dtype=torch.float64)
        want = F.conv2d(x.double(), ones, None, stride, padding, dilation, 3)

    def build(insert: Callable[..., SSAValue], v: SSAValue) -> SSAValue:
        frame = [padding] * 2
        return insert(
            graph.PoolOp(
                fn, v, [3, 3], [stride] * 2, frame, frame, [dilation] * 2, tensor(want.shape)
            )
        )

    close(run([x], build), want)


def attention(scale: float, causal: bool, shape: Sequence[int]) -> Callable[..., SSAValue]:
    def build(insert: Callable[..., SSAValue], *v: SSAValue) -> SSAValue:
        mask = v[3] if len(v) > 3 else None
        return insert(graph.AttentionOp(*v[:3], mask, scale, causal, tensor(shape)))

    return build


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("batch", [(2, 3), (3,), ()])
def test_attention(causal: bool, batch: tuple[int, ...]) -> None:
    q, k, v = normal(*batch, 5, 4), normal(*batch, 7, 4), normal(*batch, 7, 3)
    want = F.scaled_dot_product_attention(
        q.double(), k.double(), v.double(), is_causal=causal, scale=0.3
    )
    close(run([q, k, v], attention(0.3, causal, want.shape)), want)


@pytest.mark.parametrize("is_bool", [False, True])
def test_attention_masks_and_a_row_with_nothing_to_attend_to(is_bool: bool) -> None:
    q, k, v = normal(2, 5, 4), normal(2, 7, 4), normal(2, 7, 4)
    keep = normal(2, 5, 7) > -0.5
    keep[1, 2] = False
    mask = keep if is_bool else torch.zeros(2, 5, 7).masked_fill(~keep, -INF) + 0.1
    want = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=0.5)
    assert torch.equal(want[1, 2], torch.zeros(4))
    close(run([q, k, v, mask], attention(0.5, False, want.shape)), want)


def test_attention_propagates_nan_of_a_query_row_only() -> None:
    q, k, v = normal(1, 5, 4), normal(1, 7, 4), normal(1, 7, 4)
    q[0, 3, 1] = NAN
    want = F.scaled_dot_product_attention(q, k, v, scale=0.5)
    close(run([q, k, v], attention(0.5, False, want.shape)), want)


def test_embedding() -> None:
    table, indices = normal(11, 3), torch.tensor([[0, 10, 4], [2, 2, 9]])

    def build(insert: Callable[..., SSAValue], t: SSAValue, i: SSAValue) -> SSAValue:
        return insert(graph.EmbeddingOp(t, i, tensor([2, 3, 3])))

    close(run([table, indices], build), F.embedding(indices, table))


@pytest.mark.parametrize("dim", [0, 1])
def test_gather(dim: int) -> None:
    source, indices = normal(4, 5), torch.tensor([[0, 3, 1], [2, 2, 0]])

    def build(insert: Callable[..., SSAValue], s: SSAValue, i: SSAValue) -> SSAValue:
        return insert(graph.GatherOp(s, i, dim, tensor([2, 3])))

    close(run([source, indices], build), torch.gather(source, dim, indices))


def test_index() -> None:
    source = normal(4, 5, 3)
    i, j = torch.tensor([[0, 3], [3, 0]]), torch.tensor([[1, 4], [0, 3]])

    def build(insert: Callable[..., SSAValue], s: SSAValue, *indices: SSAValue) -> SSAValue:
        return insert(graph.IndexOp(s, indices, tensor([2, 2, 3])))

    close(run([source, i, j], build), source[i, j])


def test_indirect_reads_through_views_compute_the_position_in_memory() -> None:
    source, indices = normal(4, 5, 3), torch.tensor([4, 0, 2])
    turn = AffineMapAttr(AffineMap.from_callable(lambda i, j: (i * -1 + 3, j, 1)))
    parts = AffineMapAttr(
        AffineMap(2, 0, ((AffineDimExpr(0) + 5) // 5, AffineDimExpr(0) % 5, AffineDimExpr(1)))
    )

    def turned(insert: Callable[..., SSAValue], s: SSAValue, i: SSAValue) -> SSAValue:
        view = insert(graph.ViewOp(s, turn, tensor([4, 5])))
        swap = AffineMapAttr(AffineMap.from_callable(lambda i, j: (j, i)))
        table = insert(graph.ViewOp(view, swap, tensor([5, 4])))
        return insert(graph.EmbeddingOp(table, i, tensor([3, 4])))

    def divided(insert: Callable[..., SSAValue], s: SSAValue, i: SSAValue) -> SSAValue:
        table = insert(graph.ViewOp(s, parts, tensor([15, 3])))
        return insert(graph.IndexOp(table, [i], tensor([3, 3])))

    def merged(insert: Callable[..., SSAValue], s: SSAValue, i: SSAValue) -> SSAValue:
        return insert(
            graph.EmbeddingOp(insert(graph.ReshapeOp(s, tensor([20, 3]))), i, tensor([3, 3]))
        )

    close(run([source, indices], turned), source[:, :, 1].flip(0).T[indices])
    close(run([source, indices], divided), source[1:].reshape(15, 3)[indices])
    close(run([source, indices], merged), source.reshape(20, 3)[indices])
    for op in kernel([source, indices], turned).walk():
        if isinstance(op, ExtractOp):
            assert not isinstance(op.tensor.owner, graph.ViewOp)


def test_views_cats_and_pads_are_kept() -> None:
    x, y = normal(3, 5), normal(2, 3)
    swap = AffineMapAttr(AffineMap.from_callable(lambda i, j: (j, i)))

    def build(insert: Callable[..., SSAValue], x: SSAValue, y: SSAValue) -> SSAValue:
        turned = insert(graph.ViewOp(x, swap, tensor([5, 3])))
        joined = insert(graph.CatOp([turned, y], 0, tensor([7, 3])))
        return insert(graph.PadOp(joined, [1, 0], [0, 2], FloatAttr(9.0, f64), tensor([8, 5])))

    want = F.pad(torch.cat([x.T, y]), (0, 2, 1, 0), value=9.0)
    close(run([x, y], build), want)


def test_locations_stay_on_generics() -> None:
    from xdsl.dialects.builtin import StringAttr

    def build(insert: Callable[..., SSAValue], x: SSAValue) -> SSAValue:
        op = graph.PointwiseOp("exp", [x], x.type)
        op.attributes["loc"] = StringAttr("layer.0 @ model.py:7")
        return insert(op)

    func = kernel([normal(3)], build)
    (generic,) = [op for op in func.walk() if isinstance(op, GenericOp)]
    assert generic.attributes["loc"] == StringAttr("layer.0 @ model.py:7")


def test_a_converted_kernel_is_not_changed_again() -> None:
    func = kernel([normal(3)], pointwise("exp"))
    before = str(func)
    ConvertGraphToLinalgPass().apply(CompileContext(), func.parent_op())
    assert str(func) == before


def test_operations_without_a_rule_are_all_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(RULES, graph.CastOp)
    monkeypatch.delitem(RULES, graph.PointwiseOp)

    def build(insert: Callable[..., SSAValue], x: SSAValue) -> SSAValue:
        y = insert(graph.PointwiseOp("exp", [x], x.type))
        return insert(graph.CastOp(y, tensor([3], f64)))

    with pytest.raises(LoweringError, match=r"graph\.cast, graph\.pointwise"):
        kernel([normal(3)], build)
