"""Rotations that cancel leave the function, and take outliers from what is rounded."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tilecast.compiler.quantize import quantize
from tilecast.compiler.quantize.folding import exported, parameter_names
from tilecast.compiler.quantize.hadamard import rotate
from tilecast.compiler.quantize.rotation import rotated, spaces_of, without_sharing
from tilecast.dialects.errors import OptionError
from torch import Tensor, nn
from torch.nn import functional

WIDTH, HEADS, SHARED_HEADS, VOCABULARY, TOKENS = 48, 4, 2, 30, 5
SIZE = WIDTH // HEADS


def turned(x: Tensor) -> Tensor:
    """Rotary embedding of positions: what makes queries and keys differ from values."""
    angles = torch.arange(x.shape[-2], dtype=x.dtype)[:, None] / torch.arange(1, SIZE // 2 + 1)
    low, high = x.chunk(2, dim=-1)
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([low * cos - high * sin, low * sin + high * cos], dim=-1)


class WrittenOut(nn.Module):
    """A root mean square norm in single operators, as in `transformers`."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(WIDTH) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))


class LlamaLayer(nn.Module):
    """Shared key and value heads, rotary positions, a gated product."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.between = WrittenOut(), nn.RMSNorm(WIDTH)
        self.q, self.o = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(2))
        self.k, self.v = (nn.Linear(WIDTH, SHARED_HEADS * SIZE, bias=False) for _ in range(2))
        self.up, self.gate = (nn.Linear(WIDTH, 64, bias=False) for _ in range(2))
        self.down = nn.Linear(64, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, _ = x.shape
        h = self.before(x)
        q = self.q(h).view(batch, tokens, HEADS, SIZE).transpose(1, 2)
        k, v = (
            p(h).view(batch, tokens, SHARED_HEADS, SIZE).transpose(1, 2) for p in (self.k, self.v)
        )
        k, v = (
            t[:, :, None].expand(batch, SHARED_HEADS, 2, tokens, SIZE).reshape(q.shape)
            for t in (turned(k), v)
        )
        mixed = functional.scaled_dot_product_attention(turned(q), k, v, is_causal=True)
        x = x + self.o(mixed.transpose(1, 2).reshape(batch, tokens, WIDTH))
        h = self.between(x)
        return x + self.down(functional.silu(self.gate(h)) * self.up(h))


class GptLayer(nn.Module):
    """Layer norms, queries, keys and values in one product, attention written out, biases."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.o = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 64), nn.Linear(64, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, _ = x.shape
        parts = self.qkv(self.before(x)).chunk(3, dim=-1)
        q, k, v = (p.view(batch, tokens, HEADS, SIZE).permute(0, 2, 1, 3) for p in parts)
        mixed = torch.softmax(q @ k.transpose(-1, -2) / SIZE**0.5, dim=-1) @ v
        x = x + self.o(mixed.permute(0, 2, 1, 3).reshape(batch, tokens, WIDTH))
        return x + self.down(functional.gelu(self.up(self.between(x))))


class LanguageModel(nn.Module):
    """Tokens to logits; the head has the weight of the table where `tied`."""

    def __init__(self, layer: type[nn.Module], norm: type[nn.Module], tied: bool) -> None:
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, WIDTH)
        self.places = nn.Parameter(torch.randn(1, 8, WIDTH))
        self.layers = nn.ModuleList(layer() for _ in range(2))
        self.norm, self.head = norm(WIDTH), nn.Linear(WIDTH, VOCABULARY)
        if tied:
            self.head.weight = self.tokens.weight

    def forward(self, ids: Tensor) -> Tensor:
        x = self.tokens(ids) + self.places[:, : ids.shape[1]]
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x))


def language_model(kind: str, tied: bool = False) -> tuple[Any, tuple[Tensor]]:
    """A model in float64 whose norms have gains, and inputs."""
    parts = (LlamaLayer, nn.RMSNorm) if kind == "llama" else (GptLayer, nn.LayerNorm)
    model = LanguageModel(*parts, tied).double().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1:
                parameter.uniform_(0.5, 2) if "weight" in name else parameter.normal_()
    return model, (torch.randint(0, VOCABULARY, (2, TOKENS)),)


@pytest.mark.parametrize("size", [1, 2, 3, 12, 64, 96, 129])
def test_rotations_are_orthogonal_symmetric_and_keep_sums(size: int) -> None:
    matrix = rotate(torch.eye(size), size)
    unit = torch.eye(size, dtype=torch.float64)
    torch.testing.assert_close(matrix @ matrix, unit, rtol=0, atol=1e-12)
    torch.testing.assert_close(matrix, matrix.T, rtol=0, atol=1e-12)
    torch.testing.assert_close(matrix.sum(dim=0), torch.ones(size).double())
    if size >= 64:  # no entry carries much of a column: 1 / sqrt(size) is the least possible
        assert float(matrix.abs().max()) < 5 / size**0.5


@pytest.mark.parametrize("kind", ["llama", "gpt"])
@pytest.mark.parametrize("is_exported", [False, True])
def test_the_function_stays(kind: str, is_exported: bool) -> None:
    model, data = language_model(kind, tied=not is_exported)
    source = exported(model, data) if is_exported else model
    found = rotated(source, data)
    run = found.module() if is_exported else found
    torch.testing.assert_close(run(*data), model(*data), rtol=1e-9, atol=1e-9)
    program = exported(without_sharing(model), data)
    spaces, reasons = spaces_of(program, parameter_names(program))
    assert [space.size for space in spaces] == [WIDTH, SIZE, SIZE]
    assert len(reasons) == 2  # what the nonlinear functions of two layers give
    assert all("aten.mul" in reason or "aten.gelu" in reason for reason in reasons)


class Reader(nn.Module):
    """A layer that reads a normed row of a table."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.norm = nn.Embedding(VOCABULARY, 256), nn.RMSNorm(256)
        self.read = nn.Linear(256, 64, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        return self.read(self.norm(self.tokens(ids)))


@pytest.mark.parametrize("format", ["u3:channel", "u4:channel"])
def test_a_column_that_stands_out_costs_less(format: str) -> None:
    """Of normally distributed weights; uniform ones become normal, which costs range."""
    model, ids = Reader(), torch.arange(VOCABULARY)
    with torch.no_grad():
        model.read.weight.normal_()
        model.read.weight[:, 5] *= 10  # one column decides the scale of every row
        expected = model(ids)
        plain, found = (
            quantize(model, format, method="rtn", calibration=[(ids,)], rotate=rotate)(ids)
            for rotate in (False, True)
        )
    assert (found - expected).square().mean() < 0.5 * (plain - expected).square().mean()


class Residual(nn.Module):
    """Two layers around what is given."""

    def __init__(self, between: nn.Module, after: nn.Module | None = None) -> None:
        super().__init__()
        self.first, self.between = nn.Linear(8, 8), between
        self.second, self.after = nn.Linear(8, 8), after or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.second(self.between(self.first(x))))


def test_layers_with_nothing_between_rotate() -> None:
    model, x = Residual(nn.Identity()).double(), torch.randn(3, 8).double()
    found = rotated(model, (x,))
    assert not torch.allclose(found.first.weight, model.first.weight)
    torch.testing.assert_close(found(x), model(x), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (Residual(nn.ReLU()), r"between: a rotation does not go through aten.relu"),
        (nn.Linear(8, 8), "x has no parameter of its own|input has no parameter of its own"),
        (nn.ReLU(), "it has no linear layers"),
    ],
)
def test_where_nothing_cancels_the_reason_is_given(model: nn.Module, reason: str) -> None:
    with pytest.raises(OptionError, match=f"no rotation cancels in this model: .*({reason})"):
        rotated(model.eval(), (torch.randn(3, 8),))


def test_what_rotating_needs_is_said() -> None:
    model, data = language_model("gpt")
    with pytest.raises(OptionError, match="rotate needs calibration"):
        quantize(model, "u4", rotate=True)
    with pytest.raises(OptionError, match="excludes smooth"):
        quantize(model, "u4", calibration=[data], rotate=True, smooth=0.5)
