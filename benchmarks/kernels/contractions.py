"""Matrix products: squares, linear layers with weights, few rows, and odd shapes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch

from .case import Call, Case, Inputs, random_tensors

Shape = tuple[int, int, int]

# Rows x features out x features in of transformers' linear layers.
LINEAR_FEATURES = [(384, 384), (1536, 384), (384, 1536), (768, 768), (3072, 768), (4096, 4096)]
LINEAR_ROWS = [32, 128, 512]
SKINNY_ROWS = [1, 4, 16]
FEW_ROWS = [1, 2, 4, 7, 15, 23, 40, 64]
# Tiny, thin, prime, one off a power of two, tall, wide, deep.
ODD_SHAPES: list[Shape] = [
    *[(n, n, n) for n in (3, 7, 13, 17, 31, 33, 47, 63, 65, 97, 127, 129, 191, 251, 257, 383)],
    *[(n, n, n) for n in (401, 509, 521, 769, 1021)],
    *[(m, 5, 300) for m in (11, 100, 1000)],
    *[(m, 17, 129) for m in (1, 19, 200, 3001)],
    *[(m, 100, 37) for m in (3, 30, 300, 3000)],
    *[(m, 1000, 64) for m in (2, 5, 23, 77)],
    *[(m, 511, 513) for m in (1, 6, 15, 50, 333)],
    *[(7, n, 1999) for n in (1, 33, 250, 999)],
    *[(61, n, 4099) for n in (3, 29, 67, 131)],
    *[(197, n, 768) for n in (10, 197, 771)],
    *[(1023, n, 31) for n in (2, 31, 255, 1023)],
    (49, 49, 32),
    (1, 32000, 128),
    (2047, 33, 515),
    (5, 5, 10007),
]


def matmul_cases() -> list[Case]:
    """Squares of 256 to 2048, both operands known at run time only."""
    return [_matmul((n, n, n)) for n in (256, 384, 512, 768, 1024, 1536, 2048)]


def odd_cases() -> list[Case]:
    """Sixty shapes that fill no tile."""
    return [_matmul(shape) for shape in ODD_SHAPES]


def linear_cases() -> list[Case]:
    """Linear layers with a bias."""
    return [_linear((m, n, k)) for n, k in LINEAR_FEATURES for m in LINEAR_ROWS]


def skinny_cases() -> list[Case]:
    """Linear layers on few rows: bound by reading the weight."""
    return [_linear((m, 4096, 4096)) for m in SKINNY_ROWS]


def few_rows_cases() -> list[Case]:
    """Few rows and a large operand, both known at run time only."""
    return [_matmul((m, n, n)) for n in (2048, 4096) for m in FEW_ROWS]


def matmul_bf16_cases() -> list[Case]:
    """The squares in bf16."""
    return [_in_bf16(case) for case in matmul_cases()]


def linear_bf16_cases() -> list[Case]:
    """The linear layers in bf16: weights, activations and results."""
    return [_in_bf16(case) for case in linear_cases()]


def skinny_bf16_cases() -> list[Case]:
    """The linear layers on few rows in bf16."""
    return [_in_bf16(case) for case in skinny_cases()]


def _in_bf16(case: Case) -> Case:
    return replace(case, make=partial(_make_bf16, case), bytes=case.bytes / 2, element="bf16")


def _make_bf16(case: Case) -> tuple[torch.nn.Module, Inputs]:
    module, inputs = case.make()
    return module.to(torch.bfloat16), tuple(x.to(torch.bfloat16) for x in inputs)


def _matmul(shape: Shape) -> Case:
    return _case(shape, partial(_make_matmul, shape))


def _linear(shape: Shape) -> Case:
    return _case(shape, partial(_make_linear, shape))


def _case(shape: Shape, make: partial[tuple[torch.nn.Module, Inputs]]) -> Case:
    m, n, k = shape
    return Case(f"{m}x{n}x{k}", make, 2.0 * m * n * k, 4.0 * (m * k + k * n + m * n))


def _make_matmul(shape: Shape) -> tuple[torch.nn.Module, Inputs]:
    m, n, k = shape
    return Call(torch.matmul), random_tensors((m, k), (k, n))


def _make_linear(shape: Shape) -> tuple[torch.nn.Module, Inputs]:
    m, n, k = shape
    torch.manual_seed(0)
    return torch.nn.Linear(k, n).eval(), random_tensors((m, k))
