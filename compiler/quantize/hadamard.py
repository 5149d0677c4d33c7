"""Rotations of any size that keep sums, are their own inverse, and take n log n operations.

in:  values [..., n]
out: values Q, Q = T diag(signs) T with T = a Hadamard matrix (x) a Hartley matrix [n, n]

T is symmetric and its own inverse, its first row is constant. So Q is orthogonal, symmetric, and
Q 1 = 1 where the first sign is +1: norms and means of rows stay. Its entries are as small as those
of a random rotation, so that a single large column is spread over all of them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

SEED = 0


def rotate(values: Tensor, size: int) -> Tensor:
    """Each block of `size` of the last dim rotated, in float64."""
    blocks = values.detach().to(torch.float64).reshape(-1, size)
    return _transform(_transform(blocks) * _signs(size)).reshape(values.shape)


def _signs(size: int) -> Tensor:
    """+1 for the mean, half of the others -1, always the same ones."""
    generator = torch.Generator().manual_seed(SEED)
    signs = torch.ones(size, dtype=torch.float64)
    signs[1 + torch.randperm(size - 1, generator=generator)[: size // 2]] = -1
    return signs


def _transform(rows: Tensor) -> Tensor:
    """Rows times T: butterflies over the power of two in their length, a Hartley matrix over the
    odd rest."""
    size = rows.shape[-1]
    odd = size // (size & -size)
    found = rows.reshape(-1, size // odd, odd) @ _hartley(odd)
    half = 1
    while half < size // odd:
        pairs = found.reshape(len(rows), -1, 2, half, odd)
        low, high = pairs[:, :, 0], pairs[:, :, 1]
        found = torch.stack([low + high, low - high], dim=2)
        half *= 2
    return found.reshape(rows.shape) / math.sqrt(size // odd)


def _hartley(size: int) -> Tensor:
    """(cos + sin)(2 pi i j / n) / sqrt(n), which is symmetric and its own inverse."""
    index = torch.arange(size)
    angles = 2 * math.pi / size * (torch.outer(index, index) % size).to(torch.float64)
    return (torch.cos(angles) + torch.sin(angles)) / math.sqrt(size)
