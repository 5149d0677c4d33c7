"""Decisions that a cost model made: what there was to choose from, what was chosen and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .features.hardware import Hardware
from .features.nests import Array
from .models.interface import Candidates, CostModel, Uncertain

MARGIN = 0.10  # of predicted time: what is gained less often is within the noise of measurements
DEVIATIONS = 2.0  # of the members of an ensemble, by which a gain has to exceed zero


@dataclass(frozen=True)
class Decision:
    """The question for one kernel or op. `candidates` have labels and predicted seconds, the first
    being what is done without a model; `gain` is that of the best over it, `doubt` how uncertain it
    is, both as differences of logarithms; `doubt` is 0 where an estimate cannot tell."""

    kernel: str
    question: str
    candidates: tuple[tuple[str, float], ...]
    chosen: str
    gain: float
    doubt: float

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    def __str__(self) -> str:
        rows = [
            f"  {'*' if label == self.chosen else ' '} {seconds * 1e6:10.2f} us  {label}"
            for label, seconds in self.candidates
        ]
        why = f"predicted gain {self.gain:+.1%}"
        if self.doubt:
            why += f", uncertain by {self.doubt:.1%}"
        return "\n".join([f"{self.kernel}: {self.question}: {self.chosen} ({why})", *rows])


def is_out_of_place(model: CostModel, hardware: Hardware) -> bool:
    """Whether a learned model is asked about a machine of which speeds are estimates: it learned
    from measured ones, with which they have little in common, and may not decide."""
    return isinstance(model, Uncertain) and not hardware.speeds.measured


def weigh(model: CostModel, candidates: Candidates) -> tuple[int, float, float]:
    """(number of the chosen candidate, gain of the best over candidate 0, its doubt); without
    members to tell the doubt, candidate 0 stays."""
    if isinstance(model, Uncertain):
        return weigh_members(model.log_seconds(candidates))
    seconds = np.log(model.seconds(candidates))
    return 0, float(seconds[0] - seconds.min()), float("inf")


def weigh_members(log_seconds: Array) -> tuple[int, float, float]:
    """The same for what each member (rows) predicts of each candidate (columns).

    Candidate 0 stays unless the gain exceeds what it may be wrong by: `MARGIN`, or `DEVIATIONS`
    times the spread of the members' answers to the same question.
    """
    mean = log_seconds.mean(axis=0)
    best = int(np.argmin(mean))
    gain = float(mean[0] - mean[best])
    doubt = float(np.std(log_seconds[:, 0] - log_seconds[:, best]))
    return (best if gain > max(MARGIN, DEVIATIONS * doubt) else 0), gain, doubt


def decided(
    model: CostModel, kernel: str, question: str, labels: Sequence[str], candidates: Candidates
) -> tuple[int, Decision]:
    """The number of the candidate that is taken, and the record of it."""
    chosen, gain, doubt = weigh(model, candidates)
    seconds = model.seconds(candidates)
    offered = tuple(zip(labels, map(float, seconds), strict=True))
    return chosen, Decision(kernel, question, offered, labels[chosen], gain, doubt)
