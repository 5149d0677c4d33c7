"""Which ops share a kernel where a cost model is asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tilecast
import torch
from tilecast.costmodel.decision import MARGIN
from tilecast.costmodel.features.hardware import Hardware
from tilecast.costmodel.features.program import ROOFLINE
from tilecast.costmodel.hardware import Machine
from tilecast.costmodel.models.analytic import RooflineModel
from tilecast.costmodel.speeds import Speeds, estimated_speeds
from tilecast.dialects.graph import LaunchOp
from tilecast.passes.context import CompileContext
from tilecast.passes.graph.fuse import FusePass
from tilecast.passes.graph.grouping_search import model_grouping
from tilecast.passes.graph.grouping_search.climb import Step
from tilecast.passes.graph.grouping_search.kernel_costs import Price
from tilecast.passes.graph.grouping_search.moves import Move
from torch import nn
from xdsl.dialects.builtin import ModuleOp


class Members(RooflineModel):
    """Members that agree on the roofline, but for `spread` times the number of statements."""

    def __init__(self, spread: float = 0.0) -> None:
        super().__init__()
        self.spread, self.asked = spread, 0

    def log_seconds(self, candidates: Any) -> np.ndarray:
        self.asked += len(candidates)
        roofline = candidates.features[:, ROOFLINE]
        statements = np.array([len(p.nests) for p in candidates.programs])
        return np.stack([roofline + k * self.spread * statements for k in (-1, 0, 1)])


class Blocks(nn.Module):
    """Group norms over few groups, whose activation the rules give a kernel of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.GroupNorm(8, 128) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for norm in self.norms:
            x = x + nn.functional.silu(norm(x))
        return x


@pytest.fixture(scope="module")
def graph_of_blocks() -> ModuleOp:
    inputs = (torch.randn(1, 128, 64, 64),)
    return tilecast.compile(Blocks().eval(), inputs, target="x86-64-v4", stop_after="simplify")


@pytest.fixture
def context(machines: dict[str, Any]) -> Callable[[Any], CompileContext]:
    machine = machines["avx512"]

    def made(model: Any, is_measured: bool = True) -> CompileContext:
        speeds = replace(estimated_speeds(machine), measured=is_measured)
        hardware = Hardware(machine, speeds)
        return CompileContext(machine=machine, threads=2, grouping_model=model, hardware=hardware)

    return made


def launches(module: ModuleOp) -> int:
    return sum(isinstance(op, LaunchOp) for op in module.walk())


def fused(module: ModuleOp, ctx: CompileContext) -> ModuleOp:
    copy = module.clone()
    FusePass().apply(ctx, copy)
    copy.verify()
    return copy


def test_what_is_surely_faster_is_taken_at_all_places_and_recorded(
    graph_of_blocks: ModuleOp, context: Any
) -> None:
    ctx = context(Members())
    found = fused(graph_of_blocks, ctx)
    assert launches(found) < launches(fused(graph_of_blocks, context(None)))
    taken = [d for d in ctx.decisions if d.chosen != d.candidates[0][0]]
    assert [d.kernel for d in taken] == ["norm | add_silu_add (2 times)"]
    [decision] = taken
    seconds = dict(decision.candidates)
    assert decision.question == model_grouping.QUESTION
    assert decision.gain == pytest.approx(
        np.log(decision.candidates[0][1] / seconds[decision.chosen])
    )
    assert decision.gain > MARGIN
    assert "norm_add | silu_add" in seconds
    again = context(Members())
    assert str(fused(graph_of_blocks, again)) == str(found)
    assert again.decisions == ctx.decisions


def test_the_rules_stay_where_members_disagree(graph_of_blocks: ModuleOp, context: Any) -> None:
    ctx = context(Members(spread=0.3))
    usual = fused(graph_of_blocks, context(None))
    assert str(fused(graph_of_blocks, ctx)) == str(usual)
    assert ctx.decisions
    assert all(d.chosen == d.candidates[0][0] for d in ctx.decisions)


def test_the_rules_decide_without_doubts_to_weigh_or_measured_speeds(
    graph_of_blocks: ModuleOp, context: Any
) -> None:
    usual = fused(graph_of_blocks, context(None))
    for ctx in (context(RooflineModel()), context(Members(), is_measured=False)):
        assert str(fused(graph_of_blocks, ctx)) == str(usual)
        assert ctx.decisions == []


def test_kernels_are_lowered_within_the_budget(
    graph_of_blocks: ModuleOp, context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Members()
    fused(graph_of_blocks, context(model))
    without_limit = model.asked
    monkeypatch.setattr(model_grouping, "LOWERED", 1)
    model = Members()
    fused(graph_of_blocks, context(model))
    assert model.asked < without_limit


def test_kernels_side_by_side_in_one_are_no_gain() -> None:
    before = Price(np.full(3, 2e-6), nests=2, statements=5)
    move = Move("merge", (), ())
    for nests, statements in ((2, 5), (1, 5), (2, 4)):
        after = Price(np.full(3, 1e-6), nests, statements)
        assert Step(move, 1, before, after).is_better == ((nests, statements) != (2, 5))
    assert not Step(move, 1, before, Price(np.full(3, 3e-6), 1, 5)).is_better


@pytest.mark.slow
def test_chosen_kernels_equal_eager(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(machine: Machine) -> Speeds:
        return replace(estimated_speeds(machine), measured=True)

    monkeypatch.setattr("tilecast.compiler.lowering.target_speeds", measured)
    monkeypatch.setattr("tilecast.compiler.lowering.chosen_model", lambda name: name and Members())
    # The roofline sees a gain that is close to the margin.
    monkeypatch.setattr("tilecast.costmodel.decision.MARGIN", MARGIN / 2)
    monkeypatch.setattr("tilecast.passes.graph.grouping_search.climb.MOST_KEPT", 1 - MARGIN / 2)
    model, inputs = Blocks().eval(), (torch.randn(1, 128, 64, 64),)
    fast = tilecast.compile(model, inputs, fusion="model", cache=False)  # verified, too
    assert any(d["chosen"] != d["candidates"][0][0] for d in fast.artifact.decisions)
    torch.testing.assert_close(fast(*inputs), model(*inputs), rtol=1e-4, atol=1e-4)
