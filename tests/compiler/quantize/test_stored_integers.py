"""Weights that a program computes from integers keep them, whatever operators compute them."""

from __future__ import annotations

import pytest
import tilecast
import torch
import torch.ao.quantization.fx._decomposed  # registers quantized_decomposed
from tilecast.compiler.quantize.stored_integers import with_stored_integers
from torch import Tensor, nn

N, K = 6, 64


class Computed(nn.Module):
    """linear(x, weight()) with integers, scales and zero points as buffers."""

    def __init__(self, q: Tensor, scale: Tensor, zero: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("q", q)
        self.register_buffer("scale", scale)
        self.register_buffer("zero", torch.zeros(N, dtype=torch.int64) if zero is None else zero)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight())


class PerChannel(Computed):
    """As PT2E exports it."""

    def weight(self) -> Tensor:
        return torch.ops.quantized_decomposed.dequantize_per_channel(
            self.q, self.scale, self.zero, 0, -128, 127, torch.int8
        )


class Grouped(Computed):
    """Plain arithmetic on groups of 32, zero points between."""

    def weight(self) -> Tensor:
        groups = self.q.to(torch.float32).reshape(N, 2, 32)
        return ((groups - self.zero[:, :, None]) * self.scale[:, :, None]).reshape(N, K)


class Nibbles(Computed):
    """Two codes per byte, symmetric around 8."""

    def weight(self) -> Tensor:
        codes = torch.stack([self.q & 15, self.q >> 4], dim=-1).reshape(N, K)
        return (codes.to(torch.int8) - 8).to(torch.float32) * self.scale[:, None]


def integers(low: int, high: int, dtype: torch.dtype, columns: int = K) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    found = torch.randint(low, high, (N, columns), generator=generator)
    found[0, :2] = torch.tensor([low, high - 1])
    return found.to(dtype)


def scales(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1)) + 0.1


CASES = {
    "i8:channel:sf32:znone": PerChannel(integers(-128, 128, torch.int8), scales(N)),
    "u8:channel:sf32:zint": PerChannel(
        integers(-128, 128, torch.int8), scales(N), torch.arange(N) - 3
    ),
    "i3:channel:sf32:znone": PerChannel(integers(-4, 4, torch.int8), scales(N)),
    "u4:g32:sf32:zint": Grouped(
        integers(0, 16, torch.uint8), scales(N, 2), torch.full((N, 2), 7, dtype=torch.int32)
    ),
    "u5:g32:sf32:zf32": Grouped(integers(0, 32, torch.uint8), scales(N, 2), scales(N, 2) + 9),
    "i4:channel:sf32:znone": Nibbles(integers(0, 256, torch.uint8, K // 2), scales(N)),
}


@pytest.mark.parametrize("format", CASES)
def test_integers_are_kept_bit_for_bit(format: str) -> None:
    model, x = CASES[format], torch.randn(3, K)
    program, found = with_stored_integers(torch.export.export(model, (x,)))
    (tensor,) = found.values()
    assert str(tensor.format) == format
    expected = model.weight()
    torch.testing.assert_close(torch.from_numpy(tensor.dequantize()), expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(program.module()(x), model(x))


def test_what_is_no_dequantization_stays() -> None:
    class Squared(Computed):
        def weight(self) -> Tensor:
            return self.q.to(torch.float32) ** 2 * self.scale[:, None]

    program = torch.export.export(
        Squared(integers(-8, 8, torch.int8), scales(N)), (torch.randn(1, K),)
    )
    same, found = with_stored_integers(program)
    assert same is program
    assert found == {}


def test_a_program_of_integers_compiles_to_products_of_codes() -> None:
    model, x = CASES["u4:g32:sf32:zint"], torch.randn(3, K)
    fast = tilecast.compile(model, (x,), threads=1, cache=False)
    torch.testing.assert_close(fast(x), model(x))
    text = str(tilecast.compile(model, (x,), stop_after="simplify"))
    assert text.count("quant.linear") == 1
