"""A model's kernel under choices of the rules, and what a cost model says about each.

The model is shared by all kernels of a tuning run: what is measured of one corrects it for others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ...costmodel.features.hardware import Hardware
from ...costmodel.features.nests import Array
from ...costmodel.hardware import Machine
from ...costmodel.models.corrected import CorrectedModel
from ...costmodel.models.interface import Candidates
from ...dialects.errors import IllegalScheduleError
from ...dialects.poly import ScopOp
from ...passes.poly.rules.choice import RuleChoice
from ...passes.poly.rules.decide import described, text_of
from ...passes.poly.rules.schedule import apply_recorded
from ...passes.poly.search.exploration import reason_of


@dataclass(eq=False)
class RuleProgram:
    """The kernel under one choice."""

    scop: ScopOp
    threads: int
    hardware: Hardware
    task: int

    @cached_property
    def candidate(self) -> Candidates | None:
        """What cost models are told; None where there are no features."""
        try:
            nests = described(self.scop, self.threads)
        except IllegalScheduleError:
            return None
        return Candidates.of([nests], self.hardware, self.task)


@dataclass
class RulePrograms:
    """A kernel under choices of the rules; `task` is its number, `usual` the seconds of its default
    schedule; `rejected` counts reasons."""

    scop: ScopOp
    machine: Machine
    threads: int
    model: CorrectedModel | None
    hardware: Hardware
    task: int = 0
    usual: float = 1.0
    rejected: Counter[str] = field(default_factory=Counter)

    def of(self, choice: RuleChoice) -> tuple[str, RuleProgram] | None:
        """The kernel scheduled."""
        copy = self.scop.clone()
        try:
            apply_recorded(copy, self.machine, self.threads, str(choice))
        except IllegalScheduleError as error:
            self.rejected[reason_of(str(error))] += 1
            return None
        return text_of(copy), RuleProgram(copy, self.threads, self.hardware, self.task)

    def forecast(self, programs: Sequence[RuleProgram]) -> tuple[Array, Array] | None:
        """By the model."""
        found = [c for program in programs if (c := program.candidate) is not None]
        if self.model is None or len(found) < len(programs):
            return None
        return self.model.forecast(Candidates.joined(found))

    def learn(self, programs: Sequence[RuleProgram], ratios: Sequence[float]) -> None:
        """Correct the model."""
        found = [
            (c, ratio)
            for program, ratio in zip(programs, ratios, strict=True)
            if (c := program.candidate) is not None
        ]
        if self.model is not None and found:
            times = self.usual * np.array([ratio for _, ratio in found])
            self.model.update(Candidates.joined([c for c, _ in found]), times)
