"""A Llama in PyTorch with a static cache, of any size, randomly initialized.

in:  tokens [1, n] and their positions [n]
out: the logits of the last token [1, vocabulary]; keys and values are written into the cache

One token attends to the whole cache up to its position; a prompt (n > 1) starts at position 0 and
attends to itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ROPE_BASE, EPSILON = 10000.0, 1e-5


@dataclass(frozen=True)
class Shape:
    """The sizes of a Llama; `positions` is the length of its cache."""

    layers: int
    width: int
    heads: int
    key_heads: int
    hidden: int
    vocabulary: int
    positions: int

    @property
    def head_width(self) -> int:
        """Elements of a head."""
        return self.width // self.heads

    @property
    def products(self) -> int:
        """Weights of all linear layers."""
        keys = self.key_heads * self.head_width
        layer = 2 * self.width * (self.width + keys) + 3 * self.width * self.hidden
        return self.layers * layer + self.vocabulary * self.width


SHAPES = {
    "gpt2": Shape(12, 768, 12, 12, 2048, 50257, 512),
    "1b": Shape(16, 2048, 32, 8, 8192, 32000, 512),
}


class Norm(nn.Module):
    """Root mean square norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        scale = torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + EPSILON)
        return (x.float() * scale).to(x.dtype) * self.weight


def rotated(x: Tensor, positions: Tensor) -> Tensor:
    """Rotary positions: the halves of each head are turned against each other."""
    half = x.shape[-1] // 2
    rates = ROPE_BASE ** (-torch.arange(half, dtype=torch.float32) / half)
    angles = positions.float()[:, None] * rates
    cos, sin = torch.cos(angles).to(x.dtype), torch.sin(angles).to(x.dtype)
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


def rotated_neighbours(x: Tensor, positions: Tensor) -> Tensor:
    """The same for heads whose halves alternate, as in GGUF files of llama.cpp."""
    halves = x.unflatten(-1, (-1, 2)).transpose(-1, -2).flatten(-2)
    turned: Tensor = rotated(halves, positions).unflatten(-1, (2, -1)).transpose(-1, -2).flatten(-2)
    return turned


class Attention(nn.Module):
    """Grouped attention with a cache of keys and values."""

    def __init__(self, shape: Shape, cache: torch.dtype, alternates: bool) -> None:
        super().__init__()
        self.shape, self.rotated = shape, rotated_neighbours if alternates else rotated
        keys = shape.key_heads * shape.head_width
        self.q_proj = nn.Linear(shape.width, shape.width, bias=False)
        self.k_proj = nn.Linear(shape.width, keys, bias=False)
        self.v_proj = nn.Linear(shape.width, keys, bias=False)
        self.o_proj = nn.Linear(shape.width, shape.width, bias=False)
        size = 1, shape.key_heads, shape.positions, shape.head_width
        self.register_buffer("keys", torch.zeros(size, dtype=cache), persistent=False)
        self.register_buffer("values", torch.zeros(size, dtype=cache), persistent=False)

    def heads(self, x: Tensor, count: int) -> Tensor:
        """[1, n, heads * width] as [1, heads, n, width]."""
        return x.view(1, -1, count, self.shape.head_width).transpose(1, 2)

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        shape, n = self.shape, x.shape[1]
        q = self.rotated(self.heads(self.q_proj(x), shape.heads), positions)
        k = self.rotated(self.heads(self.k_proj(x), shape.key_heads), positions)
        v = self.heads(self.v_proj(x), shape.key_heads)
        self.keys.index_copy_(2, positions, k.to(self.keys.dtype))
        self.values.index_copy_(2, positions, v.to(self.values.dtype))
        group = shape.heads // shape.key_heads
        if n > 1:
            k, v = (t.repeat_interleave(group, 1) if group > 1 else t for t in (k, v))
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            # the heads of a group are queries of one head, so that keys are read once
            q = q.view(1, shape.key_heads, group, shape.head_width)
            seen = torch.arange(shape.positions)[None] <= positions[:, None]
            k, v = self.keys.to(x.dtype), self.values.to(x.dtype)
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=seen)
            y = y.view(1, shape.heads, 1, shape.head_width)
        return self.o_proj(y.transpose(1, 2).reshape(1, n, shape.width))


class Layer(nn.Module):
    """Attention and a gated feed-forward network, each on a norm of the residual stream."""

    def __init__(self, shape: Shape, cache: torch.dtype, alternates: bool) -> None:
        super().__init__()
        self.self_attn = Attention(shape, cache, alternates)
        self.attn_norm, self.ffn_norm = Norm(shape.width), Norm(shape.width)
        self.gate_proj = nn.Linear(shape.width, shape.hidden, bias=False)
        self.up_proj = nn.Linear(shape.width, shape.hidden, bias=False)
        self.down_proj = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        x = x + self.self_attn(self.attn_norm(x), positions)
        y = self.ffn_norm(x)
        return x + self.down_proj(F.silu(self.gate_proj(y)) * self.up_proj(y))


class Llama(nn.Module):
    """The model; `cache` is the type of its keys and values; `alternates`: the two halves of a
    head, in rows of queries and keys."""

    def __init__(
        self, shape: Shape, cache: torch.dtype = torch.float32, alternates: bool = False
    ) -> None:
        super().__init__()
        self.shape = shape
        self.embed = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList(Layer(shape, cache, alternates) for _ in range(shape.layers))
        self.norm = Norm(shape.width)
        self.lm_head = nn.Linear(shape.width, shape.vocabulary, bias=False)

    def forward(self, tokens: Tensor, positions: Tensor) -> Tensor:
        x = self.embed(tokens)
        for layer in self.layers:
            x = layer(x, positions)
        return self.lm_head(self.norm(x[:, -1]))


def random_llama(shape: Shape, cache: torch.dtype = torch.float32) -> Llama:
    """A Llama whose weights are random, with rows that keep the size of what they meet."""
    with torch.device("meta"):
        model = Llama(shape, cache)
    model = model.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        if "norm" in name:
            nn.init.ones_(parameter)
        else:
            size = 1.0 if name.startswith("embed") else 1 / math.sqrt(parameter.shape[1])
            parameter.normal_(0, size, generator=generator)
    for buffer in model.buffers():
        buffer.zero_()
    return model.eval()
