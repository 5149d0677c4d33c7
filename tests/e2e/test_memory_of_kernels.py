"""Budgets hold with all that kernels keep: padded copies, blocks of channels, tiles, weights."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import tilecast
import torch
from tilecast.compiler.job import model_job
from tilecast.compiler.logging import Progress
from tilecast.compiler.lowering import Lowered, lower
from tilecast.compiler.options import resolve_options
from tilecast.dialects.errors import MemoryBudgetError
from tilecast.passes.loops.plan_memory import program_arena
from torch import Tensor, nn


def strided() -> nn.Module:
    """Strided windows read less of an image than its padded copy would hold."""
    return nn.Sequential(
        nn.Conv2d(4, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.Conv2d(8, 4, 3, 1, 1)
    )


def plain() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 1, 1), nn.ReLU(), nn.Conv2d(16, 16, 3, 1, 1), nn.Conv2d(16, 4, 3, 2, 1)
    )


class Contracting(nn.Module):
    """Down and up again, joined with what was there before, as in U-Net."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, 1, 1)
        self.deep = nn.Conv2d(8, 16, 3, 1, 1)
        self.up = nn.ConvTranspose2d(16, 8, 2, 2)
        self.last = nn.Conv2d(16, 2, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        deep = self.deep(nn.functional.max_pool2d(x, 2)).relu()
        return self.last(torch.cat([x, self.up(deep)], 1))


@dataclass(frozen=True)
class Case:
    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    target: str
    keeps: str  # what its kernels are known to have: buffers, or winograd tiles


CASES = {
    "strided windows": Case(strided, (1, 4, 40, 40), "c99", "scratch"),
    "u-net": Case(Contracting, (1, 3, 40, 40), "c99", "scratch"),
    "channel blocks": Case(strided, (1, 4, 40, 40), "x86-64-v3", "scratch"),
    "winograd": Case(plain, (1, 3, 32, 32), "x86-64-v3", "winograd"),
}


def planned(model: nn.Module, x: Tensor, **options: Any) -> Lowered:
    settings = resolve_options({**options, "cache": False})
    return lower(model_job(model, (x,), None, settings), Progress(False))


def least_of(model: nn.Module, x: Tensor, **options: Any) -> int:
    with pytest.raises(MemoryBudgetError, match=r"at least \d+ bytes") as caught:
        planned(model, x, max_memory=64, **options)
    return int(re.findall(r"at least (\d+)", str(caught.value))[0])


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_arena_of_the_package_keeps_the_budget(name: str) -> None:
    case = CASES[name]
    torch.manual_seed(0)
    model, x = case.build().eval(), torch.randn(case.shape)
    whole = planned(model, x, target=case.target, max_memory="1GB")
    assert whole.ctx.memory is not None
    most, _ = program_arena(whole.functions()[0])
    assert whole.ctx.memory.plain_bytes == whole.ctx.memory.bytes == most
    assert any(case.keeps in text for text in whole.ir.values())
    least = least_of(model, x, target=case.target)
    assert least < most
    finest = planned(model, x, target=case.target, max_memory=least)
    assert finest.ctx.memory is not None
    assert finest.ctx.memory.bytes == program_arena(finest.functions()[0])[0] <= least
    budget = (least + most) // 2
    small = tilecast.compile(model, (x,), target=case.target, max_memory=budget, threads=1)
    assert small.artifact.arena_bytes <= budget  # verified
    torch.testing.assert_close(small(x), model(x), rtol=1e-4, atol=1e-5)


def test_streamed_layers_larger_than_the_budget_are_read_in_pieces() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 12, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(192, 100), nn.ReLU(),
        nn.Linear(100, 10),
    ).eval()  # fmt: skip
    x, budget = torch.randn(1, 3, 8, 8), 24_000
    options = {"target": "c99", "stream_weights": True}
    whole = planned(model, x, max_memory="1GB", **options)
    most, _ = program_arena(whole.functions()[0])
    assert most > 192 * 100 * 4 > 3 * budget
    small = tilecast.compile(model, (x,), max_memory=budget, **options)  # verifies
    assert small.artifact.arena_bytes <= budget
    assert small.artifact.memory is not None
    assert [(p["bytes"], p["pieces"]) for p in small.artifact.memory["pieces"]] == [(76_800, 7)]
    torch.testing.assert_close(small(x), model(x), rtol=1e-4, atol=1e-5)
    least = least_of(model, x, **options)
    assert least < budget
    finest = planned(model, x, max_memory=least, **options)
    assert program_arena(finest.functions()[0])[0] <= least
