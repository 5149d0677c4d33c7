"""Steps of random models on floats: elementwise functions, reductions, products, windows."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Function = Callable[..., Tensor]
Drawn = tuple[str, Function]

ELEMENTWISE: dict[str, Function] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "gelu": F.gelu,
    "gelu tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "elu": F.elu,
    "softplus": F.softplus,
    "hardswish": F.hardswish,
    "leaky_relu": F.leaky_relu,
    "exp": lambda x: x.clamp(max=2).exp(),
    "expm1": lambda x: x.clamp(max=2).expm1(),
    "log": lambda x: (x.abs() + 0.5).log(),
    "log1p": lambda x: x.abs().log1p(),
    "sqrt": lambda x: (x.abs() + 0.1).sqrt(),
    "rsqrt": lambda x: (x.abs() + 0.5).rsqrt(),
    "reciprocal": lambda x: (x.abs() + 0.5).reciprocal(),
    "sin": lambda x: x.clamp(-8, 8).sin(),
    "cos": lambda x: x.clamp(-8, 8).cos(),
    "atan": torch.atan,
    "erf": torch.erf,
    "asinh": torch.asinh,
    "abs": torch.abs,
    "neg": torch.neg,
    "sign": torch.sign,
    "floor": torch.floor,
    "ceil": torch.ceil,
    "round": torch.round,
    "trunc": torch.trunc,
    "square": lambda x: x.clamp(-8, 8).square(),
    "pow 3": lambda x: x.clamp(-4, 4).pow(3),
    "affine": lambda x: x * 0.5 + 1,
    "clamp": lambda x: x.clamp(-0.75, 1.25),
    "threshold": lambda x: torch.where(x > 0, x, x * 0.1),
    "fill negative": lambda x: x.masked_fill(x < -0.5, 0.25),
    "nan_to_num": lambda x: x.nan_to_num(),
    "logit of sigmoid": lambda x: x.sigmoid().logit(0.01),
}


def draw_elementwise(rng: random.Random, x: Tensor) -> Drawn:
    """A function of every element."""
    name = rng.choice(sorted(ELEMENTWISE))
    return name, ELEMENTWISE[name]


def draw_reduction(rng: random.Random, x: Tensor) -> Drawn | None:
    """A reduction over some dims, a norm over one, or a running sum."""
    if x.ndim == 0:
        return None
    dims = sorted(rng.sample(range(x.ndim), rng.randint(1, x.ndim)))
    keep = rng.random() < 0.5
    d = rng.choice(dims)
    n = x.shape[d]
    choices: dict[str, Function] = {
        f"mean {dims} {keep}": lambda t: t.mean(dims, keepdim=keep),
        f"sum {dims} {keep}": lambda t: t.sum(dims, keepdim=keep) / 8,
        f"amax {dims} {keep}": lambda t: t.amax(dims, keepdim=keep),
        f"amin {dims} {keep}": lambda t: t.amin(dims, keepdim=keep),
        f"norm {dims} {keep}": lambda t: torch.linalg.vector_norm(t, 2, dims, keepdim=keep),
        f"logsumexp {dims} {keep}": lambda t: t.logsumexp(dims, keepdim=keep),
        f"prod {d} {keep}": lambda t: t.tanh().prod(d, keepdim=keep),
        f"softmax {d}": lambda t: t.softmax(d),
        f"log_softmax {d}": lambda t: t.log_softmax(d),
        f"center {d}": lambda t: t - t.mean(d, keepdim=True),
        f"cumsum {d}": lambda t: t.cumsum(d) / 4,
        f"cumprod {d}": lambda t: t.tanh().cumprod(d),
        f"cummax {d}": lambda t: t.cummax(d).values,
        f"max {d} {keep}": lambda t: t.max(d, keepdim=keep).values,
        f"layer_norm {d}": lambda t: F.layer_norm(t, t.shape[d:], eps=0.1),
        "rms_norm": lambda t: F.rms_norm(t, t.shape[-1:], eps=0.1),
        f"argmax {d} {keep}": lambda t: t.argmax(d, keepdim=keep),
        f"argmin {d} {keep}": lambda t: t.argmin(d, keepdim=keep),
        f"sort {d}": lambda t: t.sort(d, descending=keep).values,
        f"argsort {d}": lambda t: t.argsort(d, descending=keep, stable=True),
        f"topk {d}": lambda t: t.topk((n + 1) // 2, d, largest=keep).values,
    }
    if n > 1:
        choices[f"var {d} {keep}"] = lambda t: t.var(d, keepdim=keep)
    name = rng.choice(sorted(choices))
    return name, choices[name]


def weight(rng: random.Random, shape: tuple[int, ...], inner: int, x: Tensor) -> Tensor:
    """A constant of the model, scaled so that sums over `inner` products stay of size one."""
    generator = torch.Generator().manual_seed(rng.randrange(10**6))
    return (torch.randn(shape, generator=generator) / inner**0.5).to(x.dtype)


def draw_product(rng: random.Random, x: Tensor, extents: tuple[int, ...]) -> Drawn | None:
    """A product with a constant, or with itself."""
    if x.ndim == 0:
        return None
    n, k = rng.choice(extents), x.shape[-1]
    w, b = weight(rng, (n, k), k, x), weight(rng, (n,), 1, x)
    choices: dict[str, Function] = {
        f"linear {n}": lambda t: F.linear(t, w, b),
        f"matmul {n}": lambda t: t @ w.mT,
    }
    if x.ndim >= 2:
        rows = weight(rng, (3, x.shape[-2]), x.shape[-2], x)
        choices["gram"] = lambda t: t @ t.mT / k
        choices["mix rows"] = lambda t: rows @ t
        choices["einsum"] = lambda t: torch.einsum("...ij,kj->...ki", t, w)
    if x.ndim in (3, 4) and k <= 64:
        hidden = torch.arange(x.shape[-2]) > x.shape[-2] // 2
        choices["attention by hand"] = lambda t: (
            (t @ t.flip(-2).mT * 0.3).masked_fill(hidden, -math.inf).softmax(-1) @ t
        )
        choices["attention"] = lambda t: F.scaled_dot_product_attention(t, t.flip(-2), t)
        choices["causal attention"] = lambda t: F.scaled_dot_product_attention(
            t, t, t * 0.5, is_causal=True
        )
    name = rng.choice(sorted(choices))
    return name, choices[name]


def draw_window(rng: random.Random, x: Tensor) -> Drawn | None:
    """A convolution or a pooling over the last one or two dims."""
    if x.ndim not in (3, 4):
        return None
    rank, c = x.ndim - 2, x.shape[1]
    size = tuple(rng.randint(1, min(3, n)) for n in x.shape[2:])
    stride, pad = rng.choice((1, 1, 2)), rng.choice((0, 1))
    dilation = rng.choice((1, 1, 2))
    groups = rng.choice([g for g in (1, c, 2) if c % g == 0])
    out = groups * rng.choice((1, 2, 3))
    inner = c // groups * size[0] * size[-1]
    w, b = weight(rng, (out, c // groups, *size), inner, x), weight(rng, (out,), 1, x)
    conv = F.conv1d if rank == 1 else F.conv2d
    transposed = F.conv_transpose1d if rank == 1 else F.conv_transpose2d
    down = weight(rng, (c, out // groups, *size), inner, x)
    average = F.avg_pool1d if rank == 1 else F.avg_pool2d
    largest = F.max_pool1d if rank == 1 else F.max_pool2d
    adaptive = F.adaptive_avg_pool1d if rank == 1 else F.adaptive_avg_pool2d
    half = tuple(min(pad, s // 2) for s in size)
    text = f"{size} stride {stride} pad {pad}"
    choices: dict[str, Function] = {
        f"conv {text} dilation {dilation} groups {groups} to {out}": lambda t: conv(
            t, w, b, stride, pad, dilation, groups
        ),
        f"conv_transpose {text} groups {groups} to {out}": lambda t: transposed(
            t, down, b, stride, min(pad, *(s - 1 for s in size)), 0, groups
        ),
        f"avg_pool {text}": lambda t: average(t, size, stride, half),
        f"max_pool {text}": lambda t: largest(t, size, stride, half),
        "adaptive_avg_pool 2": lambda t: adaptive(t, 2),
        "interpolate": lambda t: F.interpolate(t, scale_factor=2, mode="nearest"),
        f"interpolate linearly by {stride + 1}": lambda t: F.interpolate(
            t, scale_factor=stride + 1, mode="linear" if rank == 1 else "bilinear"
        ),
        "batch norm": lambda t: F.batch_norm(
            t, b.new_full((c,), 0.1), b.new_full((c,), 1.5), eps=0.1
        ),
        "group norm": lambda t: F.group_norm(t, groups, eps=0.1),
    }
    name = rng.choice(sorted(choices))
    return name, choices[name]
