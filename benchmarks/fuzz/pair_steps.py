"""Steps of random models on two values: arithmetic, choices, joins, products, reads by index."""

from __future__ import annotations

import random

import torch
from torch import Tensor

from .float_steps import Drawn, Function


def broadcast_size(x: Tensor, y: Tensor) -> int | None:
    """The number of elements of `x` and `y` together; None where their shapes do not fit."""
    try:
        return torch.broadcast_shapes(x.shape, y.shape).numel()
    except RuntimeError:
        return None


def draw_arithmetic(rng: random.Random, x: Tensor, y: Tensor) -> Drawn:
    """An elementwise function of two numbers, their types promoted."""
    choices: dict[str, Function] = {
        "add": torch.add,
        "mul": torch.mul,
        "maximum": torch.maximum,
        "minimum": torch.minimum,
        "less": torch.lt,
        "equal": torch.eq,
        "not less": torch.ge,
    }
    if torch.bool not in (x.dtype, y.dtype):
        choices |= {
            "sub": torch.sub,
            "add scaled": lambda a, b: torch.add(a, b, alpha=2),
            "divide": lambda a, b: a / (b.abs() + 1),
            "choose": lambda a, b: torch.where(a > b, a, b),
        }
    if x.is_floating_point() and y.is_floating_point():
        choices |= {"atan2": lambda a, b: torch.atan2(a, b.abs() + 0.5), "hypot": torch.hypot}
        if x.dtype == y.dtype:
            choices["lerp"] = lambda a, b: torch.lerp(a, b, 0.25)
    elif not x.is_floating_point() and not y.is_floating_point():
        choices |= {"and": torch.bitwise_and, "or": torch.bitwise_or, "xor": torch.bitwise_xor}
        if torch.bool not in (x.dtype, y.dtype):
            choices |= {
                "floor divide": lambda a, b: a // ((b & 7) + 1),
                "modulo": lambda a, b: a % ((b & 7) + 1),
            }
    name = rng.choice(sorted(choices))
    return name, choices[name]


def draw_join(rng: random.Random, x: Tensor, y: Tensor) -> Drawn | None:
    """Two values of one shape in one."""
    if x.shape != y.shape or x.ndim == 0:
        return None
    d = rng.randrange(x.ndim)
    if x.ndim < 4 and rng.random() < 0.4:
        return f"stack {d}", lambda a, b: torch.stack([a, b], d)
    return f"cat {d}", lambda a, b: torch.cat([a, b, a], d)


def draw_choice(rng: random.Random, x: Tensor, y: Tensor) -> Drawn | None:
    """`x` where the boolean `y` says so."""
    if y.dtype != torch.bool or x.dtype == torch.bool:
        return None
    if rng.random() < 0.5:
        return "where", lambda a, b: torch.where(b, a, 1)
    return "masked_fill", lambda a, b: torch.where(b, a, a * 0).masked_fill(~b, 3)


def draw_matmul(rng: random.Random, x: Tensor, y: Tensor) -> Drawn | None:
    """A product of two values; one is transposed where that makes them fit."""
    if x.dtype != y.dtype or not x.is_floating_point() or x.ndim < 2 or y.ndim < 2:
        return None
    k = x.shape[-1]
    if broadcast_size(x[..., 0, 0], y[..., 0, 0]) is None:
        return None
    if y.shape[-2] == k:
        return "matmul", lambda a, b: a @ b / k
    if y.shape[-1] == k:
        return "matmul transposed", lambda a, b: a @ b.mT / k
    return None


def draw_indexed(rng: random.Random, x: Tensor, y: Tensor) -> Drawn | None:
    """Reads of `x`, or additions to a copy of it, at places that the integers `y` name."""
    if y.dtype not in (torch.int64, torch.int32) or x.ndim == 0 or y.ndim == 0:
        return None
    d = rng.randrange(x.ndim)
    n = x.shape[d]
    flat = f"{d} of {n}"
    choices: dict[str, Function] = {
        f"index_select {flat}": lambda a, b: a.index_select(d, b.flatten()[:9] % n),
    }
    if d == 0:
        choices["index"] = lambda a, b: a[b.long() % n]
    if d == 0 and x.ndim == 2 and x.is_floating_point():
        choices["embedding"] = lambda a, b: torch.nn.functional.embedding(b % n, a)
    if x.shape == y.shape:
        choices[f"gather {flat}"] = lambda a, b: a.gather(d, b.long() % n)
        choices[f"scatter_add {flat}"] = lambda a, b: a.scatter_add(d, b.long() % n, a)
        choices[f"scatter amax {flat}"] = lambda a, b: a.scatter_reduce(
            d, b.long() % n, a + 1, "amax"
        )
    if x.dtype != torch.bool:
        choices[f"index_add {flat}"] = lambda a, b: a.index_add(
            d, b.flatten()[:1] % n, a.narrow(d, 0, 1)
        )
    name = rng.choice(sorted(choices))
    return name, choices[name]
