"""Compiled elementwise functions equal PyTorch: special values, integers, types, broadcasting."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import pytest
import tilecast
import torch
import torch.nn.functional as F
from tilecast.dialects.scalar import FUNCTIONS, SPECIAL
from torch import Tensor

Function = Callable[..., Any]
Case = tuple[Function, tuple[Tensor, ...]]
Table = dict[str, Case]


def normal(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape) + 1)
    return torch.randn(shape, generator=generator).to(dtype)


def integers(*shape: int, low: int = -9, high: int = 10) -> Tensor:
    return torch.randint(low, high, shape, generator=torch.Generator().manual_seed(7))


def booleans(*shape: int) -> Tensor:
    return normal(*shape) > 0


def special(dtype: torch.dtype) -> Tensor:
    """Values where functions go wrong, and ordinary ones: whole vectors and a tail."""
    info = torch.finfo(dtype)
    edges = [0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 1.5, -2.5, 2.5, math.inf, -math.inf, math.nan]
    edges += [info.tiny, -info.tiny, info.tiny / 8, info.max, info.min, 80.0, -80.0, 1e-4, 88.5]
    values = torch.tensor(edges, dtype=dtype)
    return torch.cat([values, normal(23, dtype=dtype) * 3, values.flip(0)])


S32, S64 = special(torch.float32), special(torch.float64)
# Every pair of these meets in a 9 x 9 table.
PAIRS = torch.tensor([0.0, -0.0, 1.5, -2.0, 3.0, math.inf, -math.inf, math.nan, 0.1])
UNARY: dict[str, Function] = {
    name: getattr(torch, name)
    for name in [
        "abs",
        "neg",
        "sign",
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
        "asin",
        "acos",
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
        "relu",
        "square",
        "logical_not",
    ]
} | {
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
}
# Exact functions, whose zeros have a sign that torch's own kernels agree on.
SIGNED_ZEROS = {"abs", "neg", "sqrt", "floor", "ceil", "round", "trunc", "sin", "tanh"}
UNARY_F32: Table = {name: (function, (S32,)) for name, function in UNARY.items()}
UNARY_F64: Table = {name: (function, (S64,)) for name, function in UNARY.items()}


@pytest.mark.parametrize("name", UNARY)
def test_unary_function_of_f32(check: Any, name: str) -> None:
    check(UNARY_F32, name, elementwise=True, zero_signs=name in SIGNED_ZEROS)


@pytest.mark.parametrize("name", UNARY)
def test_unary_function_of_f64(check: Any, name: str) -> None:
    check(UNARY_F64, name, elementwise=True, zero_signs=name in SIGNED_ZEROS)


P, Q = PAIRS.reshape(9, 1), PAIRS.clone()
BINARY: Table = {
    name: (getattr(torch, name), (P, Q))
    for name in [
        "add",
        "sub",
        "mul",
        "div",
        "maximum",
        "minimum",
        "atan2",
        "copysign",
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
        "remainder",
        "fmod",
        "pow",
        "floor_divide",
    ]
} | {
    "div_trunc": (lambda x, y: torch.div(x, y, rounding_mode="trunc"), (P, Q)),
    "where": (lambda x, y: torch.where(x > 0, x, y), (P, Q)),
    "clamp": (lambda x, y: torch.clamp(x, min=y), (P, Q)),
    "clamp_numbers": (lambda x: x.clamp(-0.5, 2), (P,)),
    "isclose": (torch.isclose, (P, Q)),
    "addcmul": (lambda x, y: torch.addcmul(x, x, y, value=0.3), (P, Q)),
    "masked_fill": (lambda x, y: y.masked_fill(x.isnan(), -math.inf), (P, Q)),
    "nan_to_num": (lambda x: torch.nan_to_num(x, 1.0, 2.0, -3.0), (P,)),
    "logical": (lambda x, y: (x.logical_and(y), x.logical_or(y), x.logical_xor(y)), (P, Q)),
    "pow_numbers": (lambda x: (x**0, x**1, x**2, x**3, x**-1, x**-2), (P,)),
    "pow_roots": (lambda x: (x**0.5, x**-0.5, x**1.7), (P,)),
    "pow_of_number": (lambda x: (2.0**x, 0.5**x), (P,)),
}


@pytest.mark.parametrize("name", BINARY)
def test_binary_function_of_special_values(check: Any, name: str) -> None:
    check(BINARY, name, elementwise=True)


X = normal(3, 17) * 4
ACTIVATIONS: Table = {
    name: (function, (X,))
    for name, function in {
        "hardswish": F.hardswish,
        "hardsigmoid": F.hardsigmoid,
        "relu6": F.relu6,
        "hardtanh": lambda x: F.hardtanh(x, -0.5, 2.0),
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
        "glu": lambda x: F.glu(x[:, :16]),
        "prelu": lambda x: F.prelu(x.T, torch.tensor([0.1, -2.0, 0.5])),
    }.items()
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(check: Any, name: str) -> None:
    check(ACTIVATIONS, name, elementwise=True)


def integer_cases(dtype: torch.dtype) -> Table:
    """Functions of integers; the last values overflow in sums and products."""
    limit = torch.iinfo(dtype)
    m = torch.cat([integers(29), torch.tensor([limit.max, limit.min, 0, -1])]).to(dtype)
    n = torch.cat([integers(29, low=1), torch.tensor([1, 2, 7, -3])]).to(dtype)
    pairs = {
        "add": torch.add,
        "sub": torch.sub,
        "mul": torch.mul,
        "div": torch.div,
        "floor_divide": torch.floor_divide,
        "div_trunc": lambda x, y: torch.div(x, y, rounding_mode="trunc"),
        "remainder": torch.remainder,
        "fmod": torch.fmod,
        "divisors_below_zero": lambda x, y: (x // -y, x % -y, x.fmod(-y)),
        "maximum": torch.maximum,
        "minimum": torch.minimum,
        "compare": lambda x, y: (x == y, x != y, x < y, x <= y, x > y, x >= y),
        "bitwise": lambda x, y: (x & y, x | y, x ^ y, ~x),
        "shifts": lambda x, y: (x << y, x >> y, x << 70, x >> 70, x << 3, x >> 3, 9 << y.abs()),
        "logical": lambda x, y: (x.logical_and(y), x.logical_or(y), ~x.logical_xor(y)),
        "where": lambda x, y: torch.where(x > y, x, y),
    }
    singles = {
        "abs": torch.abs,
        "neg": torch.neg,
        "sign": torch.sign,
        "relu": torch.relu,
        "square": torch.square,
        "pow_4": lambda x: x**4,
        "sqrt": lambda x: x.abs().sqrt(),
        "exp": lambda x: (x % 7).exp(),
        "clamp": lambda x: x.clamp(-3, 5),
        "with_number": lambda x: (x + 2, x * 3, x - 1, 1 - x, x / 4, x + 2.5, x < 2.5),
    }
    return {k: (f, (m, n)) for k, f in pairs.items()} | {k: (f, (m,)) for k, f in singles.items()}


INTEGERS = {str(d).removeprefix("torch."): integer_cases(d) for d in (torch.int64, torch.int32)}


@pytest.mark.parametrize("dtype", ["int64", pytest.param("int32", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", INTEGERS["int64"])
def test_function_of_integers_is_exact(check: Any, name: str, dtype: str) -> None:
    check(INTEGERS[dtype], name, elementwise=True)


TYPES = [torch.float32, torch.float64, torch.int64, torch.int32, torch.bool]
SOURCES = {
    torch.float32: torch.cat([normal(31) * 9, torch.tensor([0.0, -0.0, 0.9, -0.9, 100.0, 3e-39])]),
    torch.int64: integers(37) * 300,
    torch.bool: booleans(37),
}
SOURCES |= {torch.float64: SOURCES[torch.float32].double(), torch.int32: SOURCES[torch.int64].int()}
CASTS: Table = {
    f"{a}-{b}".replace("torch.", ""): (lambda x, b=b: (x.to(b), x.to(b).sum()), (SOURCES[a],))
    for a in TYPES
    for b in TYPES
    if a != b
} | {
    f"narrow-{b}".replace("torch.", ""): (lambda x, b=b: x.clamp(0, 100).to(b) + 1, (SOURCES[a],))
    for a, b in ((torch.float32, torch.int8), (torch.int64, torch.int16), (torch.int32, torch.int8))
}
CASTS |= {
    "mixed_add": (torch.add, (SOURCES[torch.float32], SOURCES[torch.int64])),
    "mixed_mul": (torch.mul, (SOURCES[torch.int32], SOURCES[torch.bool])),
    "mixed_compare": (torch.ge, (SOURCES[torch.int64], SOURCES[torch.float64])),
    "nan_is_true": (lambda x: x.bool(), (S32,)),
}


@pytest.mark.parametrize("name", CASTS)
def test_cast(check: Any, name: str) -> None:
    check(CASTS, name)


def broadcast(left: tuple[int, ...], right: tuple[int, ...]) -> Case:
    a, b = normal(*left), normal(*right)
    return lambda x, y: (x * y + x, torch.where(x > y, x, y)), (a, b)


BROADCASTS: Table = {
    f"{left}-{right}".replace(" ", ""): broadcast(left, right)
    for left, right in [
        ((), (5,)),
        ((1,), ()),
        ((1, 1), (3, 7)),
        ((3, 1), (1, 7)),
        ((13,), (2, 13)),
        ((2, 1, 5), (3, 1)),
        ((2, 3, 1, 5), (1, 3, 4, 1)),
        ((0, 5), (5,)),
        ((3, 1), (3, 0)),
        ((17, 31), (17, 31)),
        ((1, 33), (16, 1)),
        ((2, 2, 2, 2, 2), (2, 1, 2, 1, 2)),
    ]
}


@pytest.mark.parametrize("name", BROADCASTS)
def test_broadcasting(check: Any, name: str) -> None:
    check(BROADCASTS, name)


def test_every_scalar_function_is_among_the_cases() -> None:
    used: set[str] = set()
    for table in (UNARY_F32, BINARY, INTEGERS["int64"]):
        for function, inputs in table.values():
            module = tilecast.compile(Wrapped(function), inputs, stop_after="import")
            used |= set(re.findall(r'fn = "(\w+)"', str(module)))
    assert used >= set(FUNCTIONS) - set(SPECIAL)  # those have tests of their own


class Wrapped(torch.nn.Module):
    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Any:
        return self.function(*inputs)
