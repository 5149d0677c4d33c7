"""Every import rule against torch: the imported function, evaluated in float64, equals eager."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

Function = Callable[..., Any]
Table = dict[str, tuple[Function, tuple[Tensor, ...]]]


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape) + 1))


def positive(*shape: int) -> Tensor:
    return normal(*shape).abs() + 0.1


def integers(*shape: int, low: int = -9, high: int = 10) -> Tensor:
    return torch.randint(low, high, shape, generator=torch.Generator().manual_seed(7))


def booleans(*shape: int) -> Tensor:
    return normal(*shape) > 0


SPECIAL = torch.tensor(
    [0.0, -0.0, 1.5, -2.5, 0.5, math.inf, -math.inf, math.nan, 3e-39, 80.0, -80.0]
)

UNARY = (
    "abs",
    "neg",
    "sign",
    "sgn",
    "reciprocal",
    "sqrt",
    "rsqrt",
    "exp",
    "exp2",
    "expm1",
    "log",
    "log2",
    "log10",
    "log1p",
    "sin",
    "cos",
    "tan",
    "atan",
    "sinh",
    "cosh",
    "tanh",
    "erf",
    "sigmoid",
    "floor",
    "ceil",
    "round",
    "trunc",
    "isnan",
    "isinf",
    "isfinite",
    "square",
    "logical_not",
    "relu",
)


def of(functions: dict[str, Function], *inputs: Tensor) -> Table:
    """The table of functions of the same inputs."""
    return {name: (function, inputs) for name, function in functions.items()}


def named(*names: str) -> dict[str, Function]:
    """Functions of torch."""
    return {name: getattr(torch, name) for name in names}


ON_SPECIAL = of(named(*UNARY), SPECIAL)


@pytest.mark.parametrize("name", ON_SPECIAL)
def test_unary_function_equals_torch_on_special_values(equals_torch: Any, name: str) -> None:
    equals_torch(ON_SPECIAL, name)


ARCS = of(named("asin", "acos"), torch.tensor([-1.0, -0.5, 0.0, 1.0, 1.5, math.nan]))


@pytest.mark.parametrize("name", ARCS)
def test_arc_functions_inside_and_outside_their_domain(equals_torch: Any, name: str) -> None:
    equals_torch(ARCS, name)


OF_INTEGERS = of(
    named("abs", "neg", "sign", "floor", "exp", "sqrt", "isnan", "square"), integers(3, 5).abs()
)


@pytest.mark.parametrize("name", OF_INTEGERS)
def test_unary_function_of_integers_promotes_as_torch(equals_torch: Any, name: str) -> None:
    # torch computes promoted integers in float32
    equals_torch(OF_INTEGERS, name, 1e-6, 1e-6)


ACTIVATIONS: dict[str, Function] = {
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "hardswish": F.hardswish,
    "hardsigmoid": F.hardsigmoid,
    "relu6": F.relu6,
    "hardtanh": lambda x: F.hardtanh(x, -0.5, 2.0),
    "rrelu": lambda x: F.rrelu(x, 0.1, 0.3),
    "leaky_relu": lambda x: F.leaky_relu(x, 0.1),
    "elu": lambda x: F.elu(x, 0.7),
    "selu": F.selu,
    "celu": lambda x: F.celu(x, 1.3),
    "softplus": lambda x: F.softplus(x, 1.5, 10.0),
    "log_sigmoid": F.logsigmoid,
    "mish": F.mish,
    "threshold": lambda x: F.threshold(x, 0.2, -7.0),
    "softsign": F.softsign,
    "tanhshrink": F.tanhshrink,
    "hardshrink": F.hardshrink,
    "softshrink": F.softshrink,
    "dropout": lambda x: F.dropout(x, 0.5, training=False) + 1,
    "clamp": lambda x: x.clamp(-1, 1),
    "clamp_min": lambda x: x.clamp_min(0.25),
    "clamp_max": lambda x: x.clamp(max=0.25),
    "nan_to_num": lambda x: torch.nan_to_num(x, 1.0, 2.0, 3.0),
}


ACTIVATED = of(ACTIVATIONS, normal(3, 7) * 4)


@pytest.mark.parametrize("name", ACTIVATED)
def test_activation_equals_torch(equals_torch: Any, name: str) -> None:
    equals_torch(ACTIVATED, name)


NAN_ACTIVATED = of(
    {k: f for k, f in ACTIVATIONS.items() if k not in ("gelu_tanh", "nan_to_num")},
    torch.tensor([math.nan, 1.0]),
)


@pytest.mark.parametrize("name", NAN_ACTIVATED)
def test_activation_propagates_nan(equals_torch: Any, name: str) -> None:
    equals_torch(NAN_ACTIVATED, name)


X, Y = normal(3, 5), normal(5) * 2
M, N = integers(3, 5), integers(5, low=1)

POINTWISE: Table = {
    "add": (torch.add, (X, Y)),
    "add_alpha": (lambda x, y: torch.add(x, y, alpha=0.5), (X, Y)),
    "add_integer_and_float": (torch.add, (X, N)),
    "add_number": (lambda x: x + 2, (M,)),
    "add_float_to_integer": (lambda x: x + 2.5, (M,)),
    "add_booleans": (torch.add, (booleans(4), booleans(3, 4))),
    "mul_booleans": (torch.mul, (booleans(4), booleans(3, 4))),
    "sub": (torch.sub, (X, Y)),
    "rsub": (lambda x: 1 - x, (X,)),
    "rsub_alpha": (lambda x, y: torch.rsub(x, y, alpha=3), (X, Y)),
    "mul": (torch.mul, (X, Y)),
    "div": (torch.div, (X, Y)),
    "div_integers": (torch.div, (N * 8, N)),
    "div_floor": (lambda x, y: torch.div(x, y, rounding_mode="floor"), (M, N)),
    "div_trunc": (lambda x, y: torch.div(x, y, rounding_mode="trunc"), (M, N)),
    "div_trunc_float": (lambda x, y: torch.div(x, y, rounding_mode="trunc"), (X * 9, Y)),
    "floor_divide": (torch.floor_divide, (X, Y)),
    "remainder": (torch.remainder, (M, N)),
    "remainder_float": (torch.remainder, (X, Y)),
    "fmod": (torch.fmod, (M, N)),
    "pow_2": (lambda x: x**2, (X,)),
    "pow_3": (lambda x: x**3, (X,)),
    "pow_half": (lambda x: x**0.5, (X.abs(),)),
    "pow_minus_1": (lambda x: x**-1, (X,)),
    "pow_minus_2": (lambda x: x**-2, (X,)),
    "pow_0": (lambda x: x**0, (X,)),
    "pow_1.7": (lambda x: x**1.7, (X.abs(),)),
    "pow_integer": (lambda x: x**4, (M,)),
    "pow_tensor": (torch.pow, (X.abs(), Y)),
    "pow_of_number": (lambda x: 2.0**x, (X,)),
    "maximum": (torch.maximum, (X, Y)),
    "minimum": (torch.minimum, (X, Y)),
    "maximum_nan": (torch.maximum, (SPECIAL, SPECIAL.flip(0))),
    "atan2": (torch.atan2, (X, Y)),
    "eq": (torch.eq, (M, N)),
    "ne_number": (lambda x: x != 3, (M,)),
    "lt_fraction_of_integer": (lambda x: x < 2.5, (M,)),
    "ge_mixed": (torch.ge, (M, X)),
    "gt_nan": (lambda x: x > 0, (SPECIAL,)),
    "le": (torch.le, (X, Y)),
    "logical_and": (torch.logical_and, (M, N)),
    "logical_or": (torch.logical_or, (X, booleans(5))),
    "logical_xor": (torch.logical_xor, (booleans(3, 5), booleans(5))),
    "bitwise": (lambda x, y: (x & y) ^ (x | ~y), (M, N)),
    "bitwise_booleans": (lambda x, y: (x & y) | ~y, (booleans(3, 5), booleans(5))),
    "where": (torch.where, (booleans(3, 5), X, Y)),
    "where_numbers": (lambda c: torch.where(c, 1.0, -1.0), (booleans(3, 5),)),
    "where_nan": (lambda x: torch.where(torch.isnan(x), 0.0, x), (SPECIAL,)),
    "masked_fill": (lambda x, m: x.masked_fill(m, -math.inf), (X, booleans(5))),
    "addcmul": (lambda x, y: torch.addcmul(x, x, y, value=0.3), (X, Y)),
    "addcdiv": (lambda x, y: torch.addcdiv(x, x, y, value=0.3), (X, Y)),
    "lerp": (lambda x, y: torch.lerp(x, y, 0.7), (X, normal(3, 5) + 1)),
    "lerp_tensor": (torch.lerp, (X, normal(3, 5) + 1, normal(3, 5))),
    "prelu": (F.prelu, (normal(2, 3, 4), normal(3))),
    "prelu_single": (F.prelu, (normal(2, 3, 4), normal(1))),
    "glu": (lambda x: F.glu(x, 1), (normal(2, 6, 3),)),
    "clamp_tensor": (lambda x, y: torch.clamp(x, min=y), (X, Y)),
    "isclose": (torch.isclose, (X, X + 1e-9)),
    "in_place": (lambda x: (x + 1).mul_(2).relu_().add_(x), (X,)),
    "rank_0": (lambda x, s: x * s + s, (X, torch.tensor(1.5))),
    "casts": (lambda x: (x.to(torch.int32) + x.bool().to(torch.int32), x.long()), (X * 9,)),
    "type_as": (lambda x, i: i.type_as(x) * x, (X, M)),
    "clone_and_views": (lambda x: x.clone().contiguous().detach() * 1, (X,)),
}


@pytest.mark.parametrize("name", POINTWISE)
def test_pointwise_operator_equals_torch(equals_torch: Any, name: str) -> None:
    equals_torch(POINTWISE, name)


V = normal(2, 3, 4, 5)
VIEWS: dict[str, Function] = {
    "view": lambda x: x.view(6, -1) + 0.5,
    "reshape": lambda x: x.transpose(1, 2).reshape(8, 15),
    "flatten": lambda x: x.flatten(1, 2),
    "unflatten": lambda x: x.unflatten(2, (2, 2)),
    "permute": lambda x: x.permute(2, 0, -1, 1),
    "transpose": lambda x: x.transpose(-1, 1),
    "t": lambda x: x[0, 0].t(),
    "mT": lambda x: x.mT,
    "squeeze": lambda x: x[:, 1:2].squeeze(),
    "squeeze_dim": lambda x: x[:, 1:2].squeeze(1),
    "unsqueeze": lambda x: x.unsqueeze(-1).unsqueeze(0),
    "expand": lambda x: x[:, :1].expand(2, 7, 4, 5),
    "expand_lead": lambda x: x.expand(3, 2, 3, 4, 5),
    "expand_as": lambda x: x[:, :, :1].expand_as(x),
    "slice": lambda x: x[:, 1:, ::2, -3:-1],
    "slice_empty_range_clamps": lambda x: x[:, :, 1:99],
    "select": lambda x: x[:, -1],
    "narrow": lambda x: x.narrow(2, 1, 2),
    "split": lambda x: x.split(2, dim=3),
    "split_sizes": lambda x: x.split([1, 3], dim=2),
    "chunk": lambda x: x.chunk(2, dim=1),
    "unbind": lambda x: x.unbind(1),
    "flip": lambda x: x.flip(0, 3),
    "roll": lambda x: x.roll((1, -2), (1, 2)),
    "diff": lambda x: (
        x.diff(),
        x.diff(2, 1),
        x.diff(dim=1, prepend=x[:, :1], append=x),
        (x > 0).diff(),
    ),
    "roll_flat": lambda x: x.roll(7),
    "repeat": lambda x: x.repeat(2, 1, 3, 1, 1),
    "tile": lambda x: torch.tile(x, (2, 2)),
    "repeat_interleave": lambda x: x.repeat_interleave(3, dim=1),
    "unfold": lambda x: x.unfold(3, 3, 2),
    "diagonal": lambda x: x.diagonal(1, 1, 3),
    "diagonal_below": lambda x: x.diagonal(-1, 2, 3),
    "movedim": lambda x: x.movedim(0, 2),
    "swapdims": lambda x: x.swapdims(0, 1),
    "atleast_3d": lambda x: torch.atleast_3d(x[0, 0]),
    "column_stack": lambda x: torch.column_stack([x[0], x[0] + 1]),
    "diag_embed": lambda x: x[0, 0].diag_embed(),
    "kron": lambda x: torch.kron(x[0, 0], x[0, 1]),
    "slice_scatter": lambda x: torch.slice_scatter(x, x[:, :1], 1, 2, 3),
    "select_assignment": lambda x: torch.select_scatter(x, x[:, 0] * 2, 1, 1),
    "hsplit": lambda x: x[..., :4].hsplit([1]),
    "rot90": lambda x: x.rot90(1, (2, 3)),
    "rearranged_windows": lambda x: F.unfold(x, (2, 3), padding=1),
    "cat": lambda x: torch.cat([x, x * 2, x[:, :1]], 1),
    "cat_promotes": lambda x: torch.cat([x, x.int()], 1),
    "stack": lambda x: torch.stack([x, x + 1], -1),
    "pad": lambda x: F.pad(x, (1, 2, 0, 1), value=3.0),
    "pad_negative": lambda x: F.pad(x, (-1, 2)),
    "pad_reflect": lambda x: F.pad(x, (2, 1, 1, 2), mode="reflect"),
    "pad_replicate": lambda x: F.pad(x, (2, 1, 1, 2), mode="replicate"),
    "pad_circular": lambda x: F.pad(x, (2, 1, 1, 2), mode="circular"),
    "tril": lambda x: x.tril(1),
    "triu": lambda x: x.triu(-1),
    "pixel_shuffle": lambda x: F.pixel_shuffle(x.reshape(2, 12, 1, 5), 2),
    "upsample_nearest": lambda x: F.interpolate(x, scale_factor=2, mode="nearest"),
    "upsample_bilinear": lambda x: F.interpolate(x, size=(7, 9), mode="bilinear"),
    "upsample_bilinear_by_2": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "upsample_bilinear_by_4_and_1": lambda x: F.interpolate(x, size=(16, 5), mode="bilinear"),
    "upsample_bilinear_by_3": lambda x: F.interpolate(x, scale_factor=3, mode="bilinear"),
    "upsample_bilinear_smaller": lambda x: F.interpolate(x, size=(2, 3), mode="bilinear"),
    "upsample_bilinear_scale": lambda x: F.interpolate(x, scale_factor=1.7, mode="bilinear"),
    "upsample_bilinear_corners": lambda x: F.interpolate(
        x, scale_factor=2, mode="bilinear", align_corners=True
    ),
    "upsample_bicubic": lambda x: F.interpolate(x, size=(7, 9), mode="bicubic"),
    "upsample_bicubic_smaller": lambda x: F.interpolate(x, size=(2, 3), mode="bicubic"),
    "upsample_bicubic_scale": lambda x: F.interpolate(x, scale_factor=1.7, mode="bicubic"),
    "upsample_bicubic_corners": lambda x: F.interpolate(
        x, scale_factor=2, mode="bicubic", align_corners=True
    ),
    "upsample_linear": lambda x: F.interpolate(x[0], scale_factor=8, mode="linear"),
    "upsample_trilinear": lambda x: F.interpolate(x[None], scale_factor=2, mode="trilinear"),
    "upsample_bilinear_f64": lambda x: F.interpolate(x.double(), scale_factor=2, mode="bilinear"),
    "meshgrid": lambda x: torch.meshgrid(x[0, 0, 0], x[0, 0, :, 0], indexing="ij"),
    "numpy_newaxis": lambda x: x[:, None, ..., None],
}
OF_VIEWS = of(VIEWS, V)


@pytest.mark.parametrize("name", VIEWS)
def test_view_operator_equals_torch(equals_torch: Any, name: str) -> None:
    equals_torch(OF_VIEWS, name)


REDUCTIONS: dict[str, Function] = {
    "sum": torch.sum,
    "sum_dim": lambda x: x.sum(1),
    "sum_dims_keep": lambda x: x.sum((0, -1), keepdim=True),
    "mean": torch.mean,
    "mean_dim": lambda x: x.mean(-1, keepdim=True),
    "prod": torch.prod,
    "prod_dim": lambda x: x.prod(1),
    "amax": lambda x: x.amax((1, 2)),
    "amin": lambda x: x.amin(0, keepdim=True),
    "max": torch.max,
    "min": torch.min,
    "max_dim": lambda x: tuple(x.max(1)),
    "min_dim": lambda x: tuple(x.min(-1, keepdim=True)),
    "argmax": lambda x: x.argmax(1),
    "argmax_all": lambda x: x.argmax(),
    "argmin_keep": lambda x: x.argmin(2, keepdim=True),
    "any": lambda x: (x > 1).any(),
    "any_dim": lambda x: (x > 1).any(1),
    "all_dim": lambda x: (x > -1).all(2, keepdim=True),
    "all": lambda x: (x > -9).all(),
    "var": lambda x: x.var(1),
    "var_all": lambda x: x.var(),
    "var_biased": lambda x: x.var((1, 2), correction=0, keepdim=True),
    "std": lambda x: x.std(-1),
    "std_all": lambda x: x.std(),
    "var_mean": lambda x: torch.var_mean(x, 1),
    "norm": lambda x: x.norm(dim=1),
    "norm_1": lambda x: torch.linalg.vector_norm(x, 1, dim=1),
    "norm_3": lambda x: torch.linalg.vector_norm(x, 3),
    "norm_inf": lambda x: torch.linalg.vector_norm(x, math.inf, dim=(0, 1)),
    "norm_0": lambda x: torch.linalg.vector_norm(x, 0, dim=1),
    "normalize": lambda x: F.normalize(x, dim=1),
    "logsumexp": lambda x: x.logsumexp(1),
    "cumsum": lambda x: x.cumsum(1),
    "softmax": lambda x: x.softmax(1),
    "softmax_last": lambda x: x.softmax(-1),
    "log_softmax": lambda x: x.log_softmax(0),
    "count_nonzero": lambda x: torch.count_nonzero(x > 0, dim=1),
}
REDUCED = {
    f"{name}_{'x'.join(map(str, shape))}": (function, (normal(*shape),))
    for name, function in REDUCTIONS.items()
    for shape in ((3, 5, 7), (2, 1, 4))
}


@pytest.mark.parametrize("name", REDUCED)
def test_reduction_equals_torch(equals_torch: Any, name: str) -> None:
    equals_torch(REDUCED, name, 1e-10, 1e-10)


SPECIAL_ROWS: Table = {
    name: (
        lambda x, name=name: getattr(torch, name)(x, 1),
        (torch.tensor([[1.0, math.nan, 2.0], [1.0, math.inf, 2.0], [-math.inf, 0.0, -1.0]]),),
    )
    for name in ["sum", "amax", "amin", "argmax", "mean", "softmax", "cumsum"]
}


@pytest.mark.parametrize("name", SPECIAL_ROWS)
def test_reduction_of_nan_and_infinity_equals_torch(equals_torch: Any, name: str) -> None:
    equals_torch(SPECIAL_ROWS, name)


CONTRACTIONS: Table = {
    "linear": (F.linear, (normal(2, 3, 4), normal(5, 4), normal(5))),
    "linear_vector": (F.linear, (normal(4), normal(5, 4), normal(5))),
    "linear_no_bias": (F.linear, (normal(3, 4), normal(5, 4))),
    "linear_row": (F.linear, (normal(3, 4), normal(4))),
    "mm": (torch.mm, (normal(3, 4), normal(4, 5))),
    "bmm": (torch.bmm, (normal(2, 3, 4), normal(2, 4, 5))),
    "matmul_vectors": (torch.matmul, (normal(4), normal(4))),
    "matmul_vector_matrix": (torch.matmul, (normal(4), normal(4, 5))),
    "matmul_matrix_vector": (torch.matmul, (normal(3, 4), normal(4))),
    "matmul_batch_matrix": (torch.matmul, (normal(2, 3, 4), normal(4, 5))),
    "matmul_matrix_batch": (torch.matmul, (normal(3, 4), normal(2, 4, 5))),
    "matmul_broadcast": (torch.matmul, (normal(2, 1, 3, 4), normal(5, 4, 6))),
    "matmul_batch_vector": (torch.matmul, (normal(2, 3, 4), normal(4))),
    "addmm": (torch.addmm, (normal(5), normal(3, 4), normal(4, 5))),
    "addmm_scaled": (
        lambda b, x, y: torch.addmm(b, x, y, beta=0.5, alpha=2),
        (normal(3, 5), normal(3, 4), normal(4, 5)),
    ),
    "addmm_no_bias": (
        lambda b, x, y: torch.addmm(b, x, y, beta=0),
        (torch.full((3, 5), math.nan), normal(3, 4), normal(4, 5)),
    ),
    "baddbmm": (torch.baddbmm, (normal(2, 3, 5), normal(2, 3, 4), normal(2, 4, 5))),
    "mv": (torch.mv, (normal(3, 4), normal(4))),
    "dot": (torch.dot, (normal(4), normal(4))),
    "outer": (torch.outer, (normal(3), normal(4))),
    "einsum": (lambda x, y: torch.einsum("bik,bjk->bij", x, y), (normal(2, 3, 4), normal(2, 5, 4))),
}


@pytest.mark.parametrize("name", CONTRACTIONS)
def test_contraction_equals_torch(equals_torch: Any, name: str) -> None:
    equals_torch(CONTRACTIONS, name)


ATTENTION: Table = {
    "plain": (
        F.scaled_dot_product_attention,
        (normal(2, 3, 5, 4), normal(2, 3, 7, 4), normal(2, 3, 7, 6)),
    ),
    "causal": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
        (normal(2, 3, 5, 4), normal(2, 3, 5, 4), normal(2, 3, 5, 4)),
    ),
    "scale": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, scale=0.3),
        (normal(2, 5, 4), normal(2, 7, 4), normal(2, 7, 4)),
    ),
    "boolean_mask": (
        F.scaled_dot_product_attention,
        (normal(2, 3, 5, 4), normal(2, 3, 7, 4), normal(2, 3, 7, 4), booleans(2, 1, 5, 7)),
    ),
    "row_without_keys": (
        F.scaled_dot_product_attention,
        (
            normal(1, 2, 4),
            normal(1, 3, 4),
            normal(1, 3, 4),
            torch.tensor([[True] * 3, [False] * 3]),
        ),
    ),
    "float_mask": (
        lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, m.to(q.dtype)),
        (normal(2, 3, 5, 4), normal(2, 3, 7, 4), normal(2, 3, 7, 4), normal(5, 7)),
    ),
    "grouped": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, enable_gqa=True),
        (normal(2, 6, 5, 4), normal(2, 2, 7, 4), normal(2, 2, 7, 4)),
    ),
}


@pytest.mark.parametrize("name", ATTENTION)
def test_attention_equals_torch(equals_torch: Any, name: str) -> None:
    equals_torch(ATTENTION, name)


NORMS: Table = {
    "layer_norm": (lambda x, w, b: F.layer_norm(x, (5,), w, b), (X, normal(5), normal(5))),
    "layer_norm_plain": (lambda x: F.layer_norm(x, (3, 5)), (X,)),
    "layer_norm_no_bias": (lambda x, w: F.layer_norm(x, (5,), w), (X, normal(5))),
    "rms_norm": (lambda x, w: F.rms_norm(x, (5,), w, 1e-6), (X, normal(5))),
    "group_norm": (
        lambda x, w, b: F.group_norm(x, 2, w, b),
        (normal(2, 4, 3, 3), normal(4), normal(4)),
    ),
    "instance_norm": (lambda x: F.instance_norm(x), (normal(2, 4, 3, 3),)),
    "batch_norm": (
        lambda x, m, v, w, b: F.batch_norm(x, m, v, w, b),
        (normal(2, 4, 3, 3), normal(4), positive(4), normal(4), normal(4)),
    ),
    "batch_norm_1d": (lambda x, m, v: F.batch_norm(x, m, v), (X, normal(5), positive(5))),
    "local_response_norm": (lambda x: F.local_response_norm(x, 3), (normal(2, 4, 3, 3),)),
}


@pytest.mark.parametrize("name", NORMS)
def test_normalization_equals_torch(equals_torch: Any, name: str) -> None:
    equals_torch(NORMS, name, 1e-10, 1e-10)


CONVOLUTIONS: Table = {
    "1d": (F.conv1d, (normal(2, 3, 9), normal(4, 3, 3), normal(4))),
    "2d": (
        lambda x, w, b: F.conv2d(x, w, b, stride=2, padding=1),
        (normal(2, 3, 9, 7), normal(4, 3, 3, 3), normal(4)),
    ),
    "2d_rectangular": (
        lambda x, w: F.conv2d(x, w, stride=(1, 2), padding=(2, 0), dilation=(2, 1)),
        (normal(1, 3, 9, 8), normal(4, 3, 3, 2)),
    ),
    "3d": (lambda x, w: F.conv3d(x, w, padding=1), (normal(1, 2, 4, 5, 3), normal(3, 2, 3, 3, 3))),
    "depthwise": (
        lambda x, w: F.conv2d(x, w, padding=1, groups=4),
        (normal(1, 4, 5, 5), normal(4, 1, 3, 3)),
    ),
    "groups": (
        lambda x, w: F.conv2d(x, w, groups=2),
        (normal(1, 4, 5, 5), normal(6, 2, 3, 3)),
    ),
    "same": (
        lambda x, w: F.conv2d(x, w, padding="same"),
        (normal(1, 3, 5, 6), normal(4, 3, 3, 2)),
    ),
    "valid": (
        lambda x, w: F.conv1d(x, w, padding="valid"),
        (normal(1, 3, 6), normal(4, 3, 2)),
    ),
    "unbatched": (F.conv2d, (normal(3, 5, 5), normal(4, 3, 3, 3))),
    "transposed": (
        lambda x, w, b: F.conv_transpose2d(x, w, b, stride=2, padding=1, output_padding=1),
        (normal(2, 3, 4, 5), normal(3, 4, 3, 3), normal(4)),
    ),
    "transposed_groups": (
        lambda x, w: F.conv_transpose1d(x, w, stride=3, groups=2, dilation=2, padding=5),
        (normal(2, 4, 7), normal(4, 3, 3)),
    ),
    "transposed_blocks": (
        lambda x, w, b: F.conv_transpose2d(x, w, b, stride=2, groups=2),
        (normal(1, 4, 3, 2), normal(4, 3, 2, 2), normal(6)),
    ),
    "transposed_mixed": (
        lambda x, w, b: F.conv_transpose2d(x, w, b, (3, 2), (2, 5), (2, 1)),
        (normal(1, 2, 5, 7), normal(2, 3, 4, 5), normal(3)),
    ),
    "transposed_smaller_than_steps": (
        lambda x, w: F.conv_transpose1d(x, w, stride=4, output_padding=3),
        (normal(1, 2, 3), normal(2, 3, 2)),
    ),
    "max_pool": (lambda x: F.max_pool2d(x, 3, 2, 1), (normal(2, 3, 9, 8),)),
    "max_pool_ceil": (lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True), (normal(2, 3, 8, 8),)),
    "max_pool_dilated": (lambda x: F.max_pool1d(x, 3, 1, 0, 2), (normal(2, 3, 9),)),
    "max_pool_3d": (lambda x: F.max_pool3d(x, 2), (normal(1, 2, 4, 4, 4),)),
    "avg_pool": (lambda x: F.avg_pool2d(x, 2), (normal(2, 3, 8, 8),)),
    "avg_pool_padded": (lambda x: F.avg_pool2d(x, 3, 2, 1), (normal(2, 3, 8, 7),)),
    "avg_pool_inside": (
        lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
        (normal(2, 3, 8, 7),),
    ),
    "avg_pool_ceil": (
        lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True),
        (normal(2, 3, 8, 6),),
    ),
    "avg_pool_divisor": (
        lambda x: F.avg_pool2d(x, 2, divisor_override=3),
        (normal(2, 3, 8, 6),),
    ),
    "avg_pool_1d": (lambda x: F.avg_pool1d(x, 3, 2, 1), (normal(2, 3, 8),)),
    "adaptive_avg_1": (lambda x: F.adaptive_avg_pool2d(x, 1), (normal(2, 3, 5, 7),)),
    "adaptive_avg": (lambda x: F.adaptive_avg_pool2d(x, (2, 3)), (normal(2, 3, 4, 9),)),
    "adaptive_max": (lambda x: F.adaptive_max_pool2d(x, 2), (normal(2, 3, 4, 6),)),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution_or_pooling_equals_torch(equals_torch: Any, name: str) -> None:
    equals_torch(CONVOLUTIONS, name)


T = normal(6, 4)
INDEXING: Table = {
    "embedding": (F.embedding, (integers(2, 3, low=0, high=6), T)),
    "gather": (lambda x, i: x.gather(1, i), (T, integers(5, 3, low=0, high=4))),
    "index_select": (lambda x, i: x.index_select(1, i), (T, integers(5, low=0, high=4))),
    "one_index": (lambda x, i: x[i], (T, integers(2, 3, low=-6, high=6))),
    "two_indices": (
        lambda x, i, j: x[i, j],
        (T, integers(2, 1, low=0, high=6), integers(3, low=0, high=4)),
    ),
    "index_after_slice": (lambda x, i: x[:, i], (T, integers(2, 3, low=0, high=4))),
    "apart": (
        lambda x, i, j: x[i, :, j],
        (normal(3, 4, 5), integers(2, low=0, high=3), integers(2, low=0, high=5)),
    ),
    "inner": (
        lambda x, i, j: x[:, i, j],
        (normal(3, 4, 5), integers(2, low=0, high=4), integers(2, low=0, high=5)),
    ),
    "by_arange": (lambda x: x[torch.arange(4), torch.arange(4)], (T,)),
    "take_along_dim": (
        lambda x, i: torch.take_along_dim(x, i, 1),
        (T, integers(6, 2, low=0, high=4)),
    ),
}


@pytest.mark.parametrize("name", INDEXING)
def test_indexing_equals_torch(equals_torch: Any, name: str) -> None:
    equals_torch(INDEXING, name)


CREATION: dict[str, Function] = {
    "arange": lambda x: x + torch.arange(5),
    "arange_step": lambda x: x * torch.arange(10, 0, -2),
    "arange_float": lambda x: x + torch.arange(0, 2.5, 0.5, dtype=x.dtype),
    "linspace": lambda x: x + torch.linspace(0, 1, 5, dtype=x.dtype),
    "eye": lambda x: x @ torch.eye(5, dtype=x.dtype),
    "full": lambda x: x + torch.full((5,), 0.25),
    "zeros_ones": lambda x: x * torch.ones(5) + torch.zeros(3, 1),
    "like": lambda x: torch.ones_like(x) + torch.zeros_like(x) + torch.full_like(x, 2),
    "new": lambda x: x.new_full((2, 5), 3.0) + x.new_ones(5) + x.new_zeros(2, 1) + x.sum(),
    "scalar": lambda x: x * torch.tensor(2.0),
    "constant_tensor": lambda x: x + torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]),
    "infinite": lambda x: torch.full((2, 2), -math.inf) + x.sum(),
}
CREATED = of(CREATION, X)


@pytest.mark.parametrize("name", CREATED)
def test_creation_equals_torch(equals_torch: Any, name: str) -> None:
    equals_torch(CREATED, name)


TYPES: Table = {
    str(dtype): (
        lambda x: (x + x, x * 2, x.abs(), x > 1, x.sum(1)),
        (integers(3, 4).to(dtype),),
    )
    for dtype in (torch.float64, torch.float16, torch.int32, torch.int8)
}
TYPES["exact_and_wide_integer_sums"] = (
    lambda x: (x.sum(1), x.int().sum(), x.prod(0), x.amax(1), x.bool().sum()),
    (integers(4, 6),),
)
TYPES["max_pooling_of_integers_ignores_padding"] = (
    lambda x: F.max_pool2d(x.float(), 3, 2, 1).int(),
    (integers(1, 1, 5, 5, low=-9, high=-1),),
)


@pytest.mark.parametrize("name", TYPES)
def test_element_types_pass_through(equals_torch: Any, name: str) -> None:
    equals_torch(TYPES, name)
