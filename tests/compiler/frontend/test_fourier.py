"""Transforms by products with matrices, against torch.fft."""

from __future__ import annotations

import pytest
import torch
from tilecast.compiler.frontend.fourier import of_parts, of_real, to_real
from tilecast.dialects.errors import UnsupportedOperatorError

SIZES = (1, 2, 7, 64, 129, 131, 240, 1000, 1024)  # direct, two and three factors, primes
NORMS = ("backward", "ortho", "forward")


def random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("is_onesided", [True, False])
def test_of_real(n: int, is_onesided: bool) -> None:
    x = random(2, n, 3)
    re, im = of_real(x, [1], 0, is_onesided)
    want = (torch.fft.rfft if is_onesided else torch.fft.fft)(x, dim=1)
    torch.testing.assert_close(torch.complex(re, im), want)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("is_forward", [True, False])
def test_of_parts(n: int, is_forward: bool) -> None:
    z = torch.complex(random(3, n), random(3, n).flip(0))
    re, im = of_parts(z.real, z.imag, [1], 0, is_forward)
    want = torch.fft.fft(z) if is_forward else torch.fft.ifft(z, norm="forward")
    torch.testing.assert_close(torch.complex(re, im), want)


@pytest.mark.parametrize("n", SIZES)
def test_to_real(n: int) -> None:
    z = torch.complex(random(3, n // 2 + 1), random(3, n // 2 + 1).flip(0))
    found = to_real(z.real, z.imag, [1], 2, n)
    torch.testing.assert_close(found, torch.fft.irfft(z, n))


def test_norms_and_dims() -> None:
    x = random(6, 10, 12)
    re, im = of_real(x, [0, 2], 1, True)
    torch.testing.assert_close(torch.complex(re, im), torch.fft.rfftn(x, dim=(0, 2), norm="ortho"))


def test_long_primes_are_refused() -> None:
    with pytest.raises(UnsupportedOperatorError, match="5003 elements, a prime"):
        of_real(torch.zeros(5003), [0], 0, True)
