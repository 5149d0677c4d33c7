"""Products of integers that are scaled afterwards, and packed weights, keep their integers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tilecast.compiler.quantize.stored_integers import with_stored_integers
from torch import Tensor, nn

aten = torch.ops.aten
N, K, GROUP = 64, 96, 32


class Stored(nn.Module):
    """Codes and scales as buffers; the name `input` is one that fx renames."""

    def __init__(self, q: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("q", q)
        self.register_buffer("scale", scale)


class ScaledAfterwards(Stored):
    """The weight in floats without its scales."""

    def forward(self, input: Tensor) -> Tensor:
        return torch.mm(input, self.q.t().to(input.dtype)) * self.scale


class PackedBytes(Stored):
    """One operator with scales."""

    def forward(self, input: Tensor) -> Tensor:
        return aten._weight_int8pack_mm(input, self.q, self.scale)


def rows_of(x: Tensor) -> tuple[Tensor, Tensor]:
    """Integers and scales of activations, row by row."""
    scale = x.abs().amax(dim=-1, keepdim=True) / 127
    return torch.round(x / scale).to(torch.int8), scale


class SignedRows(Stored):
    """Integers times integers, scaled by row and by column."""

    def forward(self, input: Tensor) -> Tensor:
        rows, scale = rows_of(input)
        return torch._int_mm(rows, self.q.t()).to(torch.float32) * scale * self.scale


class UnsignedRows(Stored):
    """As where instructions want one side unsigned: what that adds is subtracted."""

    moved = 128

    def forward(self, input: Tensor) -> Tensor:
        rows, scale = rows_of(input)
        unsigned = (rows.to(torch.int32) + 128).to(torch.uint8)
        correction = self.q.t().sum(dim=0, keepdim=True, dtype=torch.int32) * self.moved
        product = torch._int_mm(unsigned, self.q.t()) - correction
        return product.to(torch.float32) * scale * self.scale


class WrongRows(UnsignedRows):
    """A correction that is none."""

    moved = 127


def codes() -> Tensor:
    return torch.randint(-128, 128, (N, K), dtype=torch.int8)


@pytest.mark.parametrize("kind", [ScaledAfterwards, PackedBytes, SignedRows, UnsignedRows])
def test_bytes_are_kept_bit_for_bit(kind: Callable[[Tensor, Tensor], Stored]) -> None:
    q, x = codes(), torch.randn(17, K)
    model = kind(q, torch.rand(N) + 0.1)
    program, found = with_stored_integers(torch.export.export(model, (x,)))
    (tensor,) = found.values()
    assert str(tensor.format) == "i8:channel:sf32:znone"
    assert torch.equal(torch.from_numpy(tensor.codes).to(torch.int16) - 128, q.to(torch.int16))
    torch.testing.assert_close(program.module()(x), model(x), rtol=1e-4, atol=1e-3)
    assert not any("mm" in str(node.target) for node in program.graph.nodes)


def test_a_wrong_correction_is_part_of_the_function() -> None:
    program = torch.export.export(WrongRows(codes(), torch.rand(N) + 0.1), (torch.randn(17, K),))
    same, found = with_stored_integers(program)
    assert same is program
    assert found == {}


class PackedNibbles(Stored):
    """Packed for this CPU: where a code lies is not ours to know."""

    def forward(self, input: Tensor) -> Tensor:
        return aten._weight_int4pack_mm_for_cpu(input, self.q, GROUP, self.scale)


def test_nibbles_are_kept_bit_for_bit() -> None:
    q, x = torch.randint(0, 16, (N, K), dtype=torch.int32), torch.randn(3, K)
    scales = torch.rand(K // GROUP, N, 2) + 0.1
    model = PackedNibbles(aten._convert_weight_to_int4pack_for_cpu(q, 1), scales)
    program, found = with_stored_integers(torch.export.export(model, (x,)))
    (tensor,) = found.values()
    assert tensor.format.element.width == 4
    assert torch.equal(torch.from_numpy(tensor.codes).to(torch.int32), q)
    torch.testing.assert_close(program.module()(x), model(x), rtol=1e-3, atol=1e-3)
