"""Steps of random models that round nothing: views, joins, indexing, integers, booleans, casts."""

from __future__ import annotations

import random

import torch
import torch.nn.functional as F
from torch import Tensor

from .float_steps import Drawn, Function

VIEWS = (
    *("permute", "slice", "select", "flip", "unsqueeze", "squeeze", "expand", "reshape", "unfold"),
    *("roll", "pad", "reflect", "repeat", "split", "diagonal", "tril", "repeat_interleave"),
)
CASTS = (
    *(torch.float32, torch.float32, torch.float64, torch.float16, torch.bfloat16),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
)


def random_factors(rng: random.Random, count: int) -> list[int]:
    """A shape of `count` elements."""
    shape: list[int] = []
    while count > 1 and len(shape) < 3:
        divisor = rng.choice([k for k in range(2, count + 1) if count % k == 0])
        shape.append(divisor)
        count //= divisor
    return [*shape, count] if count > 1 or not shape else shape


def draw_view(rng: random.Random, x: Tensor) -> Drawn | None:
    """The same elements, or some of them, in another shape."""
    if x.ndim == 0:
        return "unsqueeze 0", lambda t: t.unsqueeze(0)
    d = rng.randrange(x.ndim)
    n, kind = x.shape[d], rng.choice(VIEWS)
    if kind == "permute":
        order = rng.sample(range(x.ndim), x.ndim)
        return f"permute {order}", lambda t: t.permute(order)
    if kind == "slice":
        start, step = rng.randrange(n), rng.choice((1, 1, 2, 3))
        index = (slice(None),) * d + (slice(start, None, step),)
        return f"slice {d} {start}::{step}", lambda t: t[index]
    if kind == "select":
        place = rng.randrange(n)
        return f"select {d} {place}", lambda t: t.select(d, place)
    if kind == "unsqueeze" and x.ndim < 4:
        return f"unsqueeze {d}", lambda t: t.unsqueeze(d)
    if kind == "squeeze":
        return "squeeze", lambda t: t.squeeze()
    if kind == "expand" and n == 1:
        shape = [3 if k == d else -1 for k in range(x.ndim)]
        return f"expand {shape}", lambda t: t.expand(shape)
    if kind == "reshape":
        factors = random_factors(rng, x.numel())
        return f"reshape {factors}", lambda t: t.reshape(factors)
    if kind == "unfold" and x.ndim < 4 and n >= 2:
        size, step = rng.randint(1, min(n, 3)), rng.randint(1, 2)
        return f"unfold {d} {size} {step}", lambda t: t.unfold(d, size, step)
    if kind == "roll":
        by = rng.randint(-3, 3)
        return f"roll {by} {d}", lambda t: t.roll(by, d)
    if kind == "pad" and x.dtype != torch.bool:
        left, right = rng.randint(0, 2), rng.randint(0, 2)
        return f"pad {left} {right}", lambda t: F.pad(t, (left, right), value=2)
    if kind == "reflect" and x.is_floating_point() and x.ndim in (2, 3) and x.shape[-1] > 2:
        return "pad reflect", lambda t: F.pad(t, (1, 2), mode="reflect")
    if kind == "repeat" and x.ndim < 4:
        times = [2, *(rng.choice((1, 1, 2)) for _ in x.shape)]
        return f"repeat {times}", lambda t: t.repeat(times)
    if kind == "split" and n >= 2:
        return f"split {d}", lambda t: t.chunk(2, d)[1]
    if kind in ("diagonal", "tril") and x.ndim >= 2:
        k = rng.randint(-1, 1)
        if kind == "tril":
            return f"tril {k}", lambda t: t.tril(k)
        return f"diagonal {k}", lambda t: t.diagonal(k, -2, -1)
    if kind == "repeat_interleave":
        return f"repeat_interleave {d}", lambda t: t.repeat_interleave(2, d)
    return (f"flip {d}", lambda t: t.flip(d)) if kind == "flip" else None


def draw_in_place(rng: random.Random, x: Tensor) -> Drawn | None:
    """A copy that is changed through a view of itself."""
    if x.ndim == 0 or x.dtype == torch.bool:
        return None
    d = rng.randrange(x.ndim)
    place, step = rng.randrange(x.shape[d]), rng.choice((1, 2))
    index = (slice(None),) * d + (slice(place, None, step),)

    def add(t: Tensor) -> Tensor:
        copy = t.clone()
        copy[index] += 2
        return copy

    def double(t: Tensor) -> Tensor:
        copy = t.clone()
        copy.transpose(0, d).select(0, 0).mul_(2)
        return copy + t

    def assign(t: Tensor) -> Tensor:
        copy = t.clone()
        copy.select(d, place).copy_(t.select(d, 0))
        copy[index].clamp_(min=0)
        return copy

    name, function = rng.choice((("add", add), ("double", double), ("assign", assign)))
    return f"{name} in place at {d} {place}::{step}", function


def draw_cast(rng: random.Random, x: Tensor) -> Drawn:
    """The nearest value in another type; floats become integers within the range of all of them."""
    to = rng.choice(CASTS)
    name = str(to).removeprefix("torch.")
    if x.is_floating_point() and not to.is_floating_point:
        low = 0 if to == torch.uint8 else -100
        return f"to {name}", lambda t: (t * 4).clamp(low, 100).to(to)
    return f"to {name}", lambda t: t.to(to)


def draw_integer(rng: random.Random, x: Tensor) -> Drawn | None:
    """Functions of integers."""
    d = rng.randrange(max(1, x.ndim))
    c = rng.choice((1, 2, 3, 5, 7))
    choices: dict[str, Function] = {
        f"times {c} plus 1": lambda t: t * c + 1,
        f"floor divided by {c}": lambda t: t // c,
        f"modulo {c}": lambda t: t % c,
        "and 5": lambda t: t & 5,
        "xor 3": lambda t: t ^ 3,
        "not": lambda t: ~t,
        "shift left": lambda t: torch.bitwise_left_shift(t, 1),
        "shift right": lambda t: torch.bitwise_right_shift(t, 1),
        "clamp": lambda t: t.clamp(1, 6),
        f"equals {c}": lambda t: t == c,
        f"at least {c}": lambda t: t >= c,
        "one hot": lambda t: F.one_hot(t.long() & 3, 4),
        "divided": lambda t: t / 4,
    }
    if x.dtype != torch.uint8:
        choices |= {"abs": torch.abs, "neg": torch.neg, "sign": torch.sign}
    if x.ndim:
        choices |= {
            f"sum {d}": lambda t: t.sum(d),
            f"amax {d}": lambda t: t.amax(d),
            f"cumsum {d}": lambda t: t.cumsum(d),
            f"argmax {d}": lambda t: t.argmax(d),
            f"sort {d}": lambda t: t.sort(d).values,
        }
    name = rng.choice(sorted(choices))
    return name, choices[name]


def draw_boolean(rng: random.Random, x: Tensor) -> Drawn:
    """Functions of booleans."""
    choices: dict[str, Function] = {
        "logical not": torch.logical_not,
        "choose constants": lambda t: torch.where(t, 1.5, -0.5),
        "choose integers": lambda t: torch.where(t, 2, 3),
    }
    if x.ndim:
        d = rng.randrange(x.ndim)
        choices |= {
            f"any {d}": lambda t: t.any(d),
            f"all {d}": lambda t: t.all(d, keepdim=True),
            f"count {d}": lambda t: t.sum(d),
            f"cumsum {d}": lambda t: t.cumsum(d),
        }
    name = rng.choice(sorted(choices))
    return name, choices[name]
