"""A cost model between the rules' choice and its alternatives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tilecast
import torch
from tilecast.costmodel.features.hardware import Hardware
from tilecast.costmodel.models.analytic import RooflineModel
from tilecast.costmodel.speeds import estimated_speeds
from tilecast.passes.context import CompileContext
from tilecast.passes.poly.rules.choice import RULES, alternatives
from tilecast.passes.poly.rules.decide import decide_schedule
from xdsl.dialects.builtin import ModuleOp


class Prefers:
    """Expects half the time of the candidate with a number."""

    name = "prefers"

    def __init__(self, number: int) -> None:
        self.number = number

    def seconds(self, candidates: Any) -> np.ndarray:
        found = np.full(len(candidates), 1e-3)
        found[self.number] = 5e-4
        return found

    def log_seconds(self, candidates: Any) -> np.ndarray:
        return np.log(self.seconds(candidates))[None, :].repeat(3, axis=0)

    predict = update = save = seconds


@pytest.fixture
def context(machines: dict[str, Any]) -> Callable[[Any], CompileContext]:
    machine = machines["avx512"]

    def made(model: Any, is_measured: bool = True) -> CompileContext:
        speeds = replace(estimated_speeds(machine), measured=is_measured)
        hardware = Hardware(machine, speeds)
        return CompileContext(machine=machine, threads=2, cost_model=model, hardware=hardware)

    return made


def test_what_is_preferred_is_taken_means_the_same_and_is_recorded(build: Any, context: Any):
    usual = build("linear", 30, 64, 40)
    other = build("linear", 30, 64, 40)
    schedules = []
    for kernel, number in ((usual, 0), (other, 1)):
        scop = kernel.scop()
        module = ModuleOp([scop])
        ctx = context(Prefers(number))
        taken = decide_schedule(scop, ctx)
        [decision] = ctx.decisions
        assert (decision.chosen == str(RULES)) == (number == 0)
        assert len(decision.candidates) > 2
        assert list(module.ops) == [taken]
        schedules.append(str(module))
        taken.detach()
        kernel.check_lowered(taken)
    assert schedules[0] != schedules[1]


def test_without_a_model_there_is_one_candidate_and_no_record(build: Any, context: Any):
    scop = build("linear", 30, 64, 40).scop()
    ModuleOp([scop])
    ctx = context(None)
    decide_schedule(scop, ctx)
    assert ctx.decisions == []


def test_a_learned_model_is_not_asked_about_estimated_speeds(build: Any, context: Any):
    for model, count in ((Prefers(1), 0), (RooflineModel(), 1)):
        scop = build("linear", 30, 64, 40).scop()
        ModuleOp([scop])
        ctx = context(model, is_measured=False)
        decide_schedule(scop, ctx)
        assert len(ctx.decisions) == count


def test_who_asks_for_it_nevertheless_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    model, inputs = torch.nn.Linear(12, 12), (torch.randn(5, 12),)
    for is_measured in (False, True):
        monkeypatch.setattr(
            "tilecast.compiler.lowering.target_speeds",
            lambda m, found=is_measured: replace(estimated_speeds(m), measured=found),
        )
        options = {"cost_model": "pretrained", "fusion": "model", "stop_after": "structure"}
        tilecast.compile(model, inputs, **options)
        told = "cost_model='pretrained' and fusion='model': the speeds of"
        assert capsys.readouterr().err.count(told) == (not is_measured)


def test_alternatives_differ_from_the_rules_and_say_how():
    texts = [str(choice) for choice in alternatives(2)]
    assert len({*texts, "rules"}) == len(texts) + 1
    assert "parallel_work=None" in texts
    assert len(alternatives(1)) < len(texts)
