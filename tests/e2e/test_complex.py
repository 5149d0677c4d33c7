"""Complex numbers inside of models: rotary embeddings, spectra, arithmetic."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import tilecast
import torch
from tilecast.dialects.errors import UnsupportedOperatorError
from torch import Tensor, nn


class Wrapped(nn.Module):
    """A function as a model."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Tensor) -> Tensor:
        return self.function(*args)


def close(found: Tensor, want: Tensor) -> None:
    """Beside the rounding of sums whose terms are as large as the largest result."""
    scale = float(want.abs().max())
    tolerance = 8 * torch.finfo(want.dtype).eps * scale
    torch.testing.assert_close(found, want, rtol=1e-5, atol=max(tolerance, 1e-6 * scale))


class Rotary(nn.Module):
    """Positions as in the first Llama: pairs are complex, and turned by a complex buffer."""

    def __init__(self) -> None:
        super().__init__()
        angles = torch.outer(torch.arange(32.0), 1 / 10000 ** (torch.arange(0, 8, 2) / 8))
        self.register_buffer("turns", torch.polar(torch.ones_like(angles), angles))

    def forward(self, x: Tensor) -> Tensor:
        z = torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2))
        turned = z * self.turns[: x.shape[1]].unsqueeze(1)
        return torch.view_as_real(turned).flatten(3).type_as(x)


def spectrogram(x: Tensor) -> Tensor:
    return torch.stft(x, 64, 16, window=torch.hann_window(64), return_complex=True).abs()


def there_and_back(x: Tensor) -> Tensor:
    z = torch.stft(x, 64, 16, window=torch.hann_window(64), return_complex=True)
    return torch.istft(z * 0.5, 64, 16, window=torch.hann_window(64), length=x.shape[-1])


def correlation(x: Tensor) -> Tensor:
    z = torch.fft.rfft(x, n=64)
    return torch.fft.irfft(z * torch.fft.rfft(x.flip(-1), n=64).conj(), n=64, norm="ortho")


def arithmetic(x: Tensor) -> Tensor:
    z = torch.complex(x, x + 1)
    w = (z * z.conj() + 2j * z - x) / (z + 3) + (1 - 1j) / z.square()
    both = torch.stack([torch.cat([w, z.exp()]), torch.cat([x.to(z.dtype), -z])])
    return torch.where(both.real > 0, both, both.conj()).sum(0).angle()


def mixed(x: Tensor) -> Tensor:
    z = torch.polar(x.abs(), x)
    return torch.view_as_real((z @ z.mT) * (x @ x.mT)) + (z.mT == z.mT).sum()


CASES = {
    "spectrogram": (spectrogram, (2, 512)),
    "there and back": (there_and_back, (2, 512)),
    "correlation": (correlation, (4, 40)),
    "arithmetic": (arithmetic, (5, 7)),
    "mixed": (mixed, (3, 5, 6)),
    "two dims": (lambda x: torch.fft.fft2(x).real, (2, 16, 24)),
    "factors": (lambda x: torch.fft.irfft(torch.fft.rfft(x) * 2j), (3, 1000)),
}


@pytest.mark.parametrize("case", CASES)
def test_complex_numbers_inside(case: str) -> None:
    function, shape = CASES[case]
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    model = Wrapped(function)
    close(tilecast.compile(model, (x,))(x), model(x))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rotary_embeddings_of_any_length(dtype: torch.dtype) -> None:
    model, x = Rotary(), torch.randn(2, 9, 2, 8).to(dtype)
    length = torch.export.Dim("length", min=2, max=32)
    fast = tilecast.compile(model, (x,), dynamic_shapes=({1: length},))
    for count in (2, 9, 32):
        x = torch.randn(2, count, 2, 8).to(dtype)
        close(fast(x), model(x))


def test_complex_inputs_and_results_are_refused() -> None:
    z = torch.randn(3, dtype=torch.complex64)
    with pytest.raises(UnsupportedOperatorError, match=r"give torch\.view_as_real"):
        tilecast.compile(Wrapped(lambda z: z.abs()), (z,))
    with pytest.raises(UnsupportedOperatorError, match=r"return torch\.view_as_real"):
        tilecast.compile(Wrapped(torch.fft.rfft), (z.real,))
    with pytest.raises(UnsupportedOperatorError, match="no rule for complex numbers"):
        tilecast.compile(Wrapped(lambda x: torch.complex(x, x).acosh().real), (z.real,))
