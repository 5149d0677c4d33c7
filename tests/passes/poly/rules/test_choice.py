"""Choices of the rules: text and back, and every one of them makes the same results."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from tilecast.costmodel.data.samples import DataSet
from tilecast.costmodel.hardware import Machine
from tilecast.dialects.errors import IllegalScheduleError
from tilecast.dialects.poly import ScopOp
from tilecast.passes.context import CompileContext
from tilecast.passes.poly.rules.choice import (
    RuleChoice,
    alternatives,
    choice_of,
    parse_recorded,
    random_choice,
)
from tilecast.passes.poly.rules.schedule import apply_recorded, choose_schedule
from tilecast.passes.poly.search.rule_space import RuleSpace
from tilecast.passes.poly.task_key import task_key
from tilecast.passes.registry import load_pass
from xdsl.dialects.builtin import ModuleOp
from xdsl.parser import Parser

SAMPLES = Path(__file__).parents[4] / "benchmarks/costmodel/data"
AVX2 = Machine("avx2", "avx2", vector_bytes=32)
LINEAR = """
func.func private @NAME(%x: tensor<20x48xf32>, %w: tensor<40x48xf32> {tilecast.weight})
    -> tensor<20x40xf32> {
  %0 = "graph.linear"(%x, %w) : (tensor<20x48xf32>, tensor<40x48xf32>) -> tensor<20x40xf32>
  func.return %0 : tensor<20x40xf32>
}
"""


def scop_of(name: str = "one") -> ScopOp:
    context = CompileContext(machine=AVX2, threads=2)
    module = Parser(context, LINEAR.replace("NAME", name)).parse_module()
    for step in ("convert-graph-to-linalg", "extract-scop"):
        load_pass(step)().apply(context, module)
    [scop] = [op for op in module.ops if isinstance(op, ScopOp)]
    return scop


def test_text_and_back() -> None:
    choice = RuleChoice(registers=0.5, tile_rows=6, swap=True, inner=True)
    assert str(choice) == "registers=0.5, inner=True, tile_rows=6, swap=True"
    assert RuleChoice.parse(str(choice)) == choice
    assert RuleChoice.parse("rules") == RuleChoice()
    for other in (*alternatives(2), *(random_choice(2, Random(n)) for n in range(50))):
        assert RuleChoice.parse(str(other)) == other


def test_the_samples_name_choices() -> None:
    with DataSet.opened(SAMPLES) as data:
        texts = {sample.choice for sample in data.samples() if sample.choice}
    assert len(texts) > 50
    for text in texts:
        assert str(RuleChoice.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "rules(",
        "rules()",
        "x=1",
        "tile_rows=x",
        "tile_rows=1000",
        "registers=nan",
        "swap=1",
        "inner=often",
        "tile_rows=1, tile_rows=2",
        "caches=1e99",
    ],
)
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(IllegalScheduleError):
        parse_recorded(text)


def test_no_choice_is_the_default_schedule() -> None:
    default, recorded = scop_of(), scop_of()
    choose_schedule(default, AVX2, 2)
    apply_recorded(recorded, AVX2, 2, "rules")
    assert str(default) == str(recorded)
    assert choice_of(AVX2) == RuleChoice()


def test_steps_can_take_the_place_of_the_rules() -> None:
    given, plain = scop_of(), scop_of()
    choose_schedule(given, AVX2, 2)
    assert given.schedule is not None
    apply_recorded(plain, AVX2, 2, "rules\n" + given.schedule.data)
    assert str(plain) == str(given)


def test_the_key_depends_on_the_program_alone() -> None:
    assert task_key(scop_of("one")) == task_key(scop_of("other"))
    changed = scop_of()
    choose_schedule(changed, AVX2, 2)
    assert task_key(changed) != task_key(scop_of())


def test_a_choice_changes_the_schedule() -> None:
    texts = set()
    for choice in ("rules", "tile_rows=2", "parallel_work=1", "swap=True"):
        scop = scop_of()
        apply_recorded(scop, AVX2, 2, choice)
        texts.add(str(scop))
    assert len(texts) == 4


def test_the_pass_takes_what_is_recorded_and_keeps_the_default_where_it_is_stale(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scop = scop_of()
    key = task_key(scop)
    texts = []
    for recorded in ("tile_rows=2", "rules", "tile(nothing, 4)"):
        module = ModuleOp([scop.clone()])
        context = CompileContext(machine=AVX2, threads=2)
        context.recorded_schedule = {key: recorded}.get
        load_pass("schedule")().apply(context, module)
        texts.append(str(module))
    assert texts[0] != texts[1]
    assert texts[1] == texts[2]
    assert "no longer applies" in caplog.text


def test_points_of_the_space_are_legal_or_refused() -> None:
    space, rng = RuleSpace(scop_of(), AVX2, 2), Random(0)
    point = space.sample(rng)
    seen = set()
    for _ in range(30):
        point = space.mutate(space.crossover(point, space.sample(rng), rng), rng)
        scop = scop_of()
        try:
            apply_recorded(scop, AVX2, 2, str(point))
        except IllegalScheduleError:
            continue
        assert scop.schedule is not None
        seen.add(scop.schedule.data)
    assert len(seen) > 10
