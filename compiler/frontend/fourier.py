"""Discrete Fourier transforms as products with matrices of cosines and sines.

A length n = p q is transformed along p, turned by the twiddle factors, and along q (Cooley and
Tukey 1965, "An algorithm for the machine calculation of complex Fourier series"), so that a
transform of any n without large prime factors is a few small products. Short and prime lengths are
one product.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import isqrt

import numpy as np
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import unset_fake_temporarily
from torch.fx.experimental.proxy_tensor import disable_proxy_modes_tracing

from ...dialects.errors import UnsupportedOperatorError

Pair = tuple[Tensor, Tensor]
DIRECT = 128  # lengths up to which one product is quicker than two and what moves between them
MOST_DIRECT = 4096  # of a prime length, whose matrices have that many rows and columns
KEPT = 8  # matrices, which the products of a program share
# Of a result by the code of torch: none, by the root of the length, by the length.
NORMS = {0: 0.0, 1: -0.5, 2: -1.0}


def of_real(x: Tensor, dims: Sequence[int], norm: int, onesided: bool) -> Pair:
    """`_fft_r2c`: over `dims`, of which the last has n / 2 + 1 results where it is one-sided."""
    *others, last = (d % x.dim() for d in dims)
    n = size_of(x, last)
    moved = x.movedim(last, -1)
    kept = n // 2 + 1 if onesided else n
    if is_direct(n):
        re, im = halves(moved @ matrix(n, kept, True, x.dtype))
    else:
        re, im = transformed(moved, None, True)
        re, im = re[..., :kept], im[..., :kept]
    re, im = re.movedim(-1, last), im.movedim(-1, last)
    factor = float(n) ** NORMS[norm]
    return of_parts(re * factor, im * factor, others, norm, True)


def of_parts(re: Tensor, im: Tensor, dims: Sequence[int], norm: int, forward: bool) -> Pair:
    """`_fft_c2c`: over each of `dims`."""
    for dim in dims:
        factor = float(size_of(re, dim)) ** NORMS[norm]
        re, im = transformed(re.movedim(dim, -1), im.movedim(dim, -1), forward)
        re, im = re.movedim(-1, dim) * factor, im.movedim(-1, dim) * factor
    return re, im


def to_real(re: Tensor, im: Tensor, dims: Sequence[int], norm: int, size: int) -> Tensor:
    """`_fft_c2r`: the real result of length `size` over the last of `dims`, of which the first
    half of the spectrum is given."""
    *others, last = (d % re.dim() for d in dims)
    re, im = of_parts(re, im, others, norm, False)
    re, im = re.movedim(last, -1), im.movedim(last, -1)
    rest = slice(1, (size + 1) // 2)  # what is there again, mirrored
    re = torch.cat((re[..., : size // 2 + 1], re[..., rest].flip(-1)), -1)
    im = torch.cat((im[..., : size // 2 + 1], -im[..., rest].flip(-1)), -1)
    # Of the imaginary parts at the ends of the half nothing goes into a real result.
    found = transformed(re, im, False)[0].movedim(-1, last)
    return found.mul(float(size) ** NORMS[norm])


def transformed(re: Tensor, im: Tensor | None, forward: bool) -> Pair:
    """Along the last dim, without a norm; `im` is None where it is zero."""
    n = size_of(re, -1)
    if is_direct(n):
        return product(re, im, n, forward)
    p = largest_divisor(n)
    q = n // p
    # x[j1 q + j2] to X[k1 + p k2]: over j1, turned by w_n^(j2 k1), over j2.
    split = [v if v is None else v.reshape(*v.shape[:-1], p, q).mT for v in (re, im)]
    assert split[0] is not None
    re, im = transformed(split[0], split[1], forward)
    cosine, sine = twiddles(n, p, forward, re.dtype)
    re, im = re * cosine - im * sine, re * sine + im * cosine
    re, im = transformed(re.transpose(-1, -2), im.transpose(-1, -2), forward)
    return re.transpose(-1, -2).flatten(-2), im.transpose(-1, -2).flatten(-2)


def product(re: Tensor, im: Tensor | None, n: int, forward: bool) -> Pair:
    """One product per part, whose columns are cosines, then sines."""
    table = matrix(n, n, forward, re.dtype)
    of_re, of_im = halves(re @ table)
    if im is None:
        return of_re, of_im
    re_of_im, im_of_im = halves(im @ table)
    return of_re - im_of_im, of_im + re_of_im


def halves(both: Tensor) -> Pair:
    """The two halves of the last dim."""
    count = both.shape[-1] // 2
    return both[..., :count], both[..., count:]


def size_of(x: Tensor, dim: int) -> int:
    """A fixed length; UnsupportedOperatorError where it may vary."""
    size = x.shape[dim]
    if isinstance(size, int):
        return size
    raise UnsupportedOperatorError(
        "a Fourier transform over a dim of no fixed size is not supported: make its size fixed"
    )


def largest_divisor(n: int) -> int:
    """The largest divisor of n that is not above its root."""
    return next(p for p in range(isqrt(n), 0, -1) if n % p == 0)


def is_direct(n: int) -> bool:
    """Whether a length is transformed in one product."""
    if n > DIRECT and largest_divisor(n) > 1:
        return False
    if n > MOST_DIRECT:
        raise UnsupportedOperatorError(
            f"a Fourier transform of {n} elements, a prime above {MOST_DIRECT}, is not supported: "
            "pad to a length with small factors"
        )
    return True


def turns(numbers: np.ndarray, n: int, forward: bool, dtype: torch.dtype) -> Pair:
    """Cosines and sines of `numbers` n-th parts of a turn, as constants of the program."""
    angles = (-2 if forward else 2) * np.pi * (numbers % n) / n
    with unset_fake_temporarily(), disable_proxy_modes_tracing():
        return torch.tensor(np.cos(angles), dtype=dtype), torch.tensor(np.sin(angles), dtype=dtype)


@lru_cache(KEPT)
def matrix(n: int, kept: int, forward: bool, dtype: torch.dtype) -> Tensor:
    """n x 2 kept: cosines of the first `kept` results, then sines."""
    pair = turns(np.outer(np.arange(n), np.arange(kept)), n, forward, dtype)
    with unset_fake_temporarily(), disable_proxy_modes_tracing():
        return torch.cat(pair, -1)


@lru_cache(KEPT)
def twiddles(n: int, p: int, forward: bool, dtype: torch.dtype) -> Pair:
    """n / p x p: what is turned between the two transforms."""
    return turns(np.outer(np.arange(n // p), np.arange(p)), n, forward, dtype)
