"""Schedules ranked by a cost model, with no measurement at all."""

from __future__ import annotations

from dataclasses import dataclass

from ...costmodel.features.hardware import Hardware
from ...costmodel.models.interface import Candidates, CostModel
from ...dialects.errors import IllegalScheduleError
from ...passes.poly.cost.describe import ScopDescriber
from ...passes.poly.search import Candidate, ScopCheck, scop_space
from ..probe.probe import known_speeds
from ..runtime.cache import open_store
from ..runtime.toolchain import find_toolchain
from ..target import native_machine
from .training_data import read_scop


@dataclass(frozen=True)
class Prediction:
    """A legal schedule with what the model says about it."""

    steps: str
    seconds: float
    score: float


def ranked_schedules(scop_text: str, model: CostModel, threads: int) -> list[Prediction]:
    """The default schedules of a scop's search space on the machine at hand, best score first."""
    scop, machine = read_scop(scop_text), native_machine()
    space, check = scop_space(scop, machine, threads), ScopCheck(scop)
    legal: dict[str, Candidate] = {}
    for point in space.defaults():
        try:
            candidate = Candidate(tuple(space.steps(point)))
            check(candidate)
        except IllegalScheduleError:
            continue
        legal.setdefault(candidate.text, candidate)
    describe = ScopDescriber(scop, threads)
    hardware = Hardware(machine, known_speeds(machine, find_toolchain(), open_store()))
    candidates = Candidates.of([describe(c.steps) for c in legal.values()], hardware)
    scores, seconds = model.predict(candidates), model.seconds(candidates)
    found = [
        Prediction(text, float(s), float(score))
        for text, s, score in zip(legal, seconds, scores, strict=True)
    ]
    return sorted(found, key=lambda p: -p.score)
