"""Random small graphs of views, elementwise functions, reductions and products: compiled == eager.

A graph is a list of steps drawn from a seed, run eagerly once to know the shapes. Twenty graphs are
one compilation.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

MAX_ELEMENTS = 6000
PER_TABLE = 20
EXTENTS = (1, 2, 3, 4, 5, 7, 8, 16, 17, 33)

VIEWS = ["permute", "slice", "select", "flip", "unsqueeze", "expand", "reshape", "unfold"]
VIEWS += ["roll", "pad"]
FAMILIES = ["unary"] * 2 + ["view"] * 3 + ["reduction", "product"] + ["pair"] * 2


@dataclass(frozen=True)
class Step:
    """`function` of earlier values; `text` shows it in a failure."""

    text: str
    function: Callable[..., Tensor]
    operands: tuple[int, ...]


@dataclass(frozen=True)
class RandomGraph:
    """Steps after the inputs; some of the values are results."""

    steps: tuple[Step, ...]
    results: tuple[int, ...]

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        values = list(inputs)
        for step in self.steps:
            values.append(step.function(*(values[k] for k in step.operands)))
        return tuple(values[k] for k in self.results)

    def __str__(self) -> str:
        lines = [f"{step.text} of {step.operands}" for step in self.steps]
        return f"{lines} -> {self.results}"


UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "gelu": F.gelu,
    "exp": lambda x: x.clamp(max=2).exp(),
    "abs": torch.abs,
    "neg": torch.neg,
    "affine": lambda x: x * 0.5 + 1,
    "where": lambda x: torch.where(x > 0, x, x * 0.1),
    "mask": lambda x: (x > 0.5).float(),
    "round_trip": lambda x: (x * 4).int().float() / 4,
}


def draw_unary(rng: random.Random, x: Tensor) -> tuple[str, Callable[[Tensor], Tensor]]:
    name = rng.choice(sorted(UNARY))
    return name, UNARY[name]


def draw_view(rng: random.Random, x: Tensor) -> tuple[str, Callable[[Tensor], Tensor]]:
    d = rng.randrange(x.ndim)
    n = x.shape[d]
    kind = rng.choice(VIEWS)
    if kind == "permute":
        order = rng.sample(range(x.ndim), x.ndim)
        return f"permute {order}", lambda t: t.permute(order)
    if kind == "slice":
        start, step = rng.randrange(n), rng.choice((1, 1, 2, 3))
        index = (slice(None),) * d + (slice(start, None, step),)
        return f"slice {index}", lambda t: t[index]
    if kind == "select" and x.ndim > 1:
        place = rng.randrange(n)
        return f"select {d} {place}", lambda t: t.select(d, place)
    if kind == "unsqueeze" and x.ndim < 4:
        return f"unsqueeze {d}", lambda t: t.unsqueeze(d)
    if kind == "expand" and n == 1:
        shape = [3 if k == d else -1 for k in range(x.ndim)]
        return f"expand {shape}", lambda t: t.expand(shape)
    if kind == "reshape":
        shape = random_factors(rng, x.numel())
        return f"reshape {shape}", lambda t: t.reshape(shape)
    if kind == "unfold" and x.ndim < 4 and n >= 2:
        return f"unfold {d}", lambda t: t.unfold(d, 2, 1)
    if kind == "roll":
        return f"roll {d}", lambda t: t.roll(1, d)
    if kind == "pad":
        return "pad", lambda t: F.pad(t, (1, 2), value=0.5)
    return f"flip {d}", lambda t: t.flip(d)


def random_factors(rng: random.Random, count: int) -> list[int]:
    """A shape of `count` elements."""
    shape = []
    while count > 1 and len(shape) < 3:
        divisor = rng.choice([k for k in range(2, count + 1) if count % k == 0])
        shape.append(divisor)
        count //= divisor
    return [*shape, count] if count > 1 or not shape else shape


def draw_reduction(rng: random.Random, x: Tensor) -> tuple[str, Callable[[Tensor], Tensor]]:
    dims = sorted(rng.sample(range(x.ndim), rng.randint(1, x.ndim)))
    keep = rng.random() < 0.5 or len(dims) == x.ndim
    d = dims[0]
    choices: dict[str, Callable[[Tensor], Tensor]] = {
        f"mean {dims} {keep}": lambda t: t.mean(dims, keepdim=keep),
        f"sum {dims} {keep}": lambda t: t.sum(dims, keepdim=keep) / 8,
        f"amax {dims} {keep}": lambda t: t.amax(dims, keepdim=keep),
        f"softmax {d}": lambda t: t.softmax(d),
        f"center {d}": lambda t: t - t.mean(d, keepdim=True),
        f"cumsum {d}": lambda t: t.cumsum(d) / 4,
        "layer_norm": lambda t: F.layer_norm(t, t.shape[-1:], eps=0.1),
    }
    text = rng.choice(list(choices))
    return text, choices[text]


def draw_product(rng: random.Random, x: Tensor) -> tuple[str, Callable[[Tensor], Tensor]]:
    n = rng.choice(EXTENTS)
    generator = torch.Generator().manual_seed(rng.randrange(1000))
    weight = torch.randn(n, x.shape[-1], generator=generator) / x.shape[-1] ** 0.5
    choices: dict[str, Callable[[Tensor], Tensor]] = {f"linear {n}": lambda t: F.linear(t, weight)}
    if x.ndim >= 2:
        scale = x.shape[-1]
        choices["gram"] = lambda t: t @ t.mT / scale
        choices[f"matmul {n}"] = lambda t: t @ weight.T
        choices["mix rows"] = lambda t: torch.ones(3, t.shape[-2]) @ t / t.shape[-2]
    text = rng.choice(sorted(choices))
    return text, choices[text]


def draw_pair(rng: random.Random, values: Sequence[Tensor], k: int) -> Step | None:
    """A function of value `k` and another value that broadcasts with it or can be joined to it."""
    x = values[k]
    others = [j for j, y in enumerate(values) if broadcast_size(x, y) <= MAX_ELEMENTS]
    j = rng.choice(others)
    choices: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "add": torch.add,
        "sub": torch.sub,
        "mul": torch.mul,
        "maximum": torch.maximum,
        "choose": lambda a, b: torch.where(a > b, a, b * 0.5),
    }
    if values[j].shape == x.shape:
        d = rng.randrange(x.ndim)
        choices[f"cat {d}"] = lambda a, b: torch.cat([a, b], d)
        if x.ndim < 4:
            choices[f"stack {d}"] = lambda a, b: torch.stack([a, b], d)
    text = rng.choice(sorted(choices))
    return Step(text, choices[text], (k, j))


def broadcast_size(x: Tensor, y: Tensor) -> int:
    try:
        return torch.broadcast_shapes(x.shape, y.shape).numel()
    except RuntimeError:
        return MAX_ELEMENTS + 1


def random_graph(seed: int) -> tuple[RandomGraph, tuple[Tensor, ...]]:
    """Six to ten steps over two inputs; the last value and one or two others are results."""
    rng = random.Random(seed)
    generator = torch.Generator().manual_seed(seed)
    shapes = [[rng.choice(EXTENTS) for _ in range(rng.randint(1, 3))] for _ in range(2)]
    while max(map(math.prod, shapes)) > MAX_ELEMENTS:
        shapes = [[rng.choice(EXTENTS) for _ in range(rng.randint(1, 3))] for _ in range(2)]
    inputs = tuple(torch.randn(shape, generator=generator) for shape in shapes)
    values: list[Tensor] = list(inputs)
    steps: list[Step] = []
    wanted = rng.randint(6, 10)
    while len(steps) < wanted:
        k = rng.choice([len(values) - 1, rng.randrange(len(values))])
        family = rng.choice(FAMILIES)
        if family == "pair":
            step = draw_pair(rng, values, k)
        else:
            draw = {
                "unary": draw_unary,
                "view": draw_view,
                "reduction": draw_reduction,
                "product": draw_product,
            }[family]
            step = Step(*draw(rng, values[k]), (k,))
        value = step.function(*(values[j] for j in step.operands))
        if not 0 < value.numel() <= MAX_ELEMENTS or value.ndim == 0:
            continue
        if value.abs().max() > 1e3:
            continue
        steps.append(step)
        values.append(value)
    others = rng.sample(range(len(inputs), len(values) - 1), rng.randint(1, 2))
    return RandomGraph(tuple(steps), (*others, len(values) - 1)), inputs


TABLES: dict[int, dict[str, Any]] = {}


def check_graph(check: Any, seed: int) -> None:
    first = seed - seed % PER_TABLE
    if first not in TABLES:
        TABLES[first] = {str(k): random_graph(k) for k in range(first, first + PER_TABLE)}
    try:
        check(TABLES[first], str(seed))
    except Exception as error:
        graph, inputs = TABLES[first][str(seed)]
        error.add_note(f"inputs {[tuple(x.shape) for x in inputs]}, steps {graph}")
        raise


@pytest.mark.parametrize("seed", range(20))
def test_random_graph(check: Any, seed: int) -> None:
    check_graph(check, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20, 320))
def test_many_random_graphs(checker: Any, seed: int) -> None:
    check_graph(checker, seed)
