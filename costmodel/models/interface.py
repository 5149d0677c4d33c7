"""What every cost model is: scores for candidates, learning from samples, a file of plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from ..features.hardware import Hardware
from ..features.nests import Array, ScheduledProgram
from ..features.program import PROGRAM_NAMES, program_features

INPUT_NAMES = (*PROGRAM_NAMES, *(f"relative_{name}" for name in PROGRAM_NAMES))


@dataclass(frozen=True, eq=False)
class Candidates:
    """Scheduled programs with their features: one row each, and one row per statement. `tasks`
    numbers what is compared with what: scores of one task can be ranked. Where only features were
    kept, there are no `programs` and no `statements`."""

    programs: Sequence[ScheduledProgram]
    features: Array
    statements: Sequence[Array]
    tasks: npt.NDArray[np.int64]

    @staticmethod
    def of(programs: Sequence[ScheduledProgram], hardware: Hardware, task: int = 0) -> Candidates:
        """Candidates of one task."""
        features, statements = program_features(programs, hardware)
        return Candidates(programs, features, statements, np.full(len(programs), task))

    @staticmethod
    def joined(parts: Sequence[Candidates]) -> Candidates:
        """The candidates of all `parts`, whose numbers of tasks stay as they are."""
        return Candidates(
            [p for part in parts for p in part.programs],
            np.concatenate([part.features for part in parts]),
            [s for part in parts for s in part.statements],
            np.concatenate([part.tasks for part in parts]),
        )

    def chosen(self, rows: npt.NDArray[np.int64]) -> Candidates:
        """The candidates with the numbers `rows`."""
        return Candidates(
            [self.programs[k] for k in rows] if self.programs else (),
            self.features[rows],
            [self.statements[k] for k in rows] if self.statements else (),
            self.tasks[rows],
        )

    def __len__(self) -> int:
        return len(self.features)


class CostModel(Protocol):
    """Predicts which candidates are fast."""

    name: str

    def predict(self, candidates: Candidates) -> Array:
        """One score each: within a task, higher is expected to be faster. Of models that know times
        it is a logarithm of speed, up to a number per task."""
        ...

    def seconds(self, candidates: Candidates) -> Array:
        """Predicted run time."""
        ...

    def update(self, candidates: Candidates, seconds: Array) -> None:
        """Learn from measured candidates."""
        ...

    def save(self, folder: Path) -> None:
        """Write the model as plain data."""
        ...


@runtime_checkable
class Uncertain(Protocol):
    """A model of several members, whose answers differ where they know little."""

    def log_seconds(self, candidates: Candidates) -> Array:
        """Members x candidates: the logarithm of what each predicts."""
        ...


@runtime_checkable
class Explained(Protocol):
    """A model that says what its answer is made of."""

    def contributions(self, candidates: Candidates) -> Array:
        """Candidates x (features and a constant): shares in the logarithm of seconds over the
        roofline, which they add up to."""
        ...


def slowdowns(tasks: npt.NDArray[np.int64], seconds: Array) -> Array:
    """Seconds over the shortest of the same task."""
    best = np.full(int(tasks.max(initial=0)) + 1, np.inf)
    np.minimum.at(best, tasks, seconds)
    found: Array = seconds / best[tasks]
    return found


def inputs(candidates: Candidates) -> Array:
    """Values of `INPUT_NAMES`: features, and how far each is from its mean over the candidates of
    the same task. Schedules of a program differ in few features, and by how much is what matters
    for their order, whatever the size of the program."""
    number, sizes = np.unique(candidates.tasks, return_inverse=True, return_counts=True)[1:]
    mean = np.zeros((len(sizes), candidates.features.shape[1]))
    np.add.at(mean, number, candidates.features)
    mean /= sizes[:, None]
    return np.hstack([candidates.features, candidates.features - mean[number]])
