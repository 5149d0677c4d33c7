"""Random models: graphs of torch functions drawn from a seed, run eagerly once to know the shapes.

A model is named by its seed and the numbers of the steps that are kept: what a kept step reads and
no kept step computes is an input. Any choice of steps is a model, which is what minimizing needs.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from .exact_steps import draw_boolean, draw_cast, draw_in_place, draw_integer, draw_view
from .float_steps import (
    Drawn,
    Function,
    draw_elementwise,
    draw_product,
    draw_reduction,
    draw_window,
)
from .pair_steps import (
    broadcast_size,
    draw_arithmetic,
    draw_choice,
    draw_indexed,
    draw_join,
    draw_matmul,
)

MAX_ELEMENTS = 6000
EXTENTS = (1, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 33, 64)
FLOATS = (torch.float32,) * 5 + (torch.float64, torch.float16, torch.bfloat16)
INTEGERS = (
    *(torch.int64, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8),
    torch.bool,
)
MIN_DYNAMIC = 3  # torch.export takes 0 and 1 for constants
LARGEST = 200.0  # of float values: larger ones leave half precision a step or two later


@dataclass(frozen=True)
class Step:
    """`function` of earlier values; `text` shows it."""

    text: str
    function: Function
    operands: tuple[int, ...]


class RandomModel(nn.Module):
    """The steps `kept` of a drawn graph; `forward` takes what they read from elsewhere.

    Value k is input k of the drawn graph, or else the result of step k - (number of inputs).
    """

    def __init__(self, drawn: DrawnGraph, kept: Sequence[int]) -> None:
        super().__init__()
        self.steps = {k: drawn.steps[k - len(drawn.inputs)] for k in sorted(kept)}
        read = {j for step in self.steps.values() for j in step.operands}
        self.given = tuple(sorted(read - set(self.steps)))
        self.results = tuple(k for k in self.steps if k not in read or k in drawn.results)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The values that no step reads, and some others."""
        values = dict(zip(self.given, inputs, strict=True))
        for k, step in self.steps.items():
            values[k] = step.function(*(values[j] for j in step.operands))
        return tuple(values[k] for k in self.results)

    def __str__(self) -> str:
        parts = [f"v{k} = {step.text}{step.operands}" for k, step in self.steps.items()]
        return "; ".join(parts)


@dataclass(frozen=True)
class DrawnGraph:
    """Inputs, steps, which values in between are results, and every value as eager computes it."""

    inputs: tuple[Tensor, ...]
    steps: tuple[Step, ...]
    results: frozenset[int]
    values: tuple[Tensor, ...]

    @property
    def numbers(self) -> list[int]:
        """The numbers of all steps."""
        return list(range(len(self.inputs), len(self.values)))

    def model(self, kept: Sequence[int]) -> tuple[RandomModel, tuple[Tensor, ...]]:
        """The model of these steps, and its inputs."""
        model = RandomModel(self, kept)
        return model, tuple(self.values[k].clone().contiguous() for k in model.given)


def dynamic_dims(seed: int, inputs: Sequence[Tensor]) -> Any:
    """For a sixth of the seeds: all dims of one extent as torch.export takes dims that vary.

    What the model's constants fix stays fixed. None where there is no such extent.
    """
    extents = sorted({n for tensor in inputs for n in tensor.shape if n >= MIN_DYNAMIC})
    if seed % 6 or not extents:
        return None
    extent = random.Random(seed).choice(extents)
    dim = Dim.AUTO(min=2, max=extent + 9)
    return {"inputs": tuple({d: dim for d, n in enumerate(t.shape) if n == extent} for t in inputs)}


def random_input(rng: random.Random, generator: torch.Generator) -> Tensor:
    """A tensor of rank 0 to 4; now and then transposed in memory."""
    while True:
        shape = [rng.choice(EXTENTS) for _ in range(rng.choice((0, 1, 1, 2, 2, 2, 3, 3, 4)))]
        if math.prod(shape) <= MAX_ELEMENTS:
            break
    if rng.random() < 0.75:
        return torch.randn(shape, generator=generator).to(rng.choice(FLOATS))
    dtype = rng.choice(INTEGERS)
    low, high = (0, 2) if dtype == torch.bool else (0 if dtype == torch.uint8 else -9, 10)
    return torch.randint(low, high, shape, generator=generator).to(dtype)


def draw_alone(rng: random.Random, x: Tensor) -> Drawn | None:
    """A function of one value."""
    family = rng.choice(("view",) * 5 + ("in place", "cast") + ("own",) * 7)
    if family == "view":
        return draw_view(rng, x)
    if family == "in place":
        return draw_in_place(rng, x)
    if family == "cast":
        return draw_cast(rng, x)
    if x.dtype == torch.bool:
        return draw_boolean(rng, x)
    if not x.is_floating_point():
        return draw_integer(rng, x)
    kind = rng.choice((0, 0, 0, 1, 1, 2, 3, 3))
    if kind == 0:
        return draw_elementwise(rng, x)
    if kind == 1:
        return draw_reduction(rng, x)
    return draw_product(rng, x, EXTENTS) if kind == 2 else draw_window(rng, x)


def draw_step(rng: random.Random, values: Sequence[Tensor]) -> Step | None:
    """A step on one or two of the values, mostly the last one."""
    k = rng.choice((len(values) - 1, rng.randrange(len(values))))
    if rng.random() < 0.6:
        drawn, operands = draw_alone(rng, values[k]), (k,)
        return None if drawn is None else Step(*drawn, operands)
    j = rng.randrange(len(values))
    x, y = values[k], values[j]
    family = rng.choice(
        (draw_arithmetic, draw_arithmetic, draw_join, draw_choice, draw_matmul, draw_indexed)
    )
    if family in (draw_arithmetic, draw_choice):
        size = broadcast_size(x, y)
        if size is None or size > MAX_ELEMENTS:
            return None
    drawn = family(rng, x, y)
    return None if drawn is None else Step(*drawn, (k, j))


def is_fine(value: Any) -> bool:
    """Whether later steps may use a value: of moderate size and finite."""
    if not isinstance(value, Tensor) or not 0 < value.numel() <= MAX_ELEMENTS or value.ndim > 5:
        return False
    if not value.is_floating_point():
        return True
    return bool(value.isfinite().all()) and float(value.abs().max()) <= LARGEST


def draw_graph(seed: int) -> DrawnGraph:
    """Three to twelve steps over one to three inputs; equal seeds give equal graphs."""
    rng = random.Random(seed)
    generator = torch.Generator().manual_seed(seed)
    inputs = tuple(random_input(rng, generator) for _ in range(rng.randint(1, 3)))
    values, steps = list(inputs), list[Step]()
    wanted = rng.randint(3, 12)
    while len(steps) < wanted:
        step = draw_step(rng, values)
        if step is None:
            continue
        try:
            with torch.no_grad():
                value = step.function(*(values[j] for j in step.operands))
        except (RuntimeError, NotImplementedError, IndexError, ValueError, TypeError):
            continue  # torch has no such operator for this type or shape
        if is_fine(value):
            steps.append(step)
            values.append(value)
    inner = range(len(inputs), len(values))
    results = frozenset(rng.sample(inner, rng.randint(0, 2)))
    return DrawnGraph(inputs, tuple(steps), results, tuple(values))
