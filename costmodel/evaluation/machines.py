"""How well a model carries over from one machine to another.

For every machine, models that were trained on the others, on itself, and on all of them rank and
predict what was measured on it, of families that none of them has seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..models.interface import CostModel
from .decisions import Outcome, outcomes
from .evaluate import Fold, Measured, cross_validated, trained_folds
from .metrics import Ranked

Machines = tuple[str, ...]


@dataclass(frozen=True)
class Transfer:
    """What was measured on `machine`, by label of a model: ranked, and decided about."""

    machine: str
    ranked: Mapping[str, Mapping[str, Ranked]]
    decided: Mapping[str, Sequence[Outcome]]


@dataclass
class Experience:
    """Folds of each kind of model in `makers`, by the machines that they were trained on. `whole`
    are those of all machines, which are there already."""

    data: Measured
    makers: Mapping[str, Callable[[], CostModel]]
    whole: Mapping[str, Sequence[Fold]]
    keep: Path | None = None
    _known: dict[tuple[str, Machines], Sequence[Fold]] = field(default_factory=dict)

    def folds(self, kind: str, machines: Machines) -> Sequence[Fold]:
        """Trained once."""
        if machines == machines_of(self.data):
            return self.whole[kind]
        if (kind, machines) not in self._known:
            folder = self.keep and self.keep / "-".join([kind, *machines])
            self._known[kind, machines] = trained_folds(
                self.makers[kind], self.data, keep=folder, machines=machines
            )
        return self._known[kind, machines]


def machines_of(data: Measured) -> Machines:
    """The names of all machines, in order."""
    return tuple(sorted(set(data.machines)))


def transfers(
    experience: Experience, ranked: Mapping[str, Mapping[str, Ranked]], offered: Sequence[str]
) -> list[Transfer]:
    """Of every machine where there are several; `ranked` needs no training on any. Decisions are
    those of ensembles between the rules' choice and those `offered`."""
    data, found = experience.data, []
    every = machines_of(data)
    if len(every) < 2:
        return []
    for machine in every:
        here = {n for n, m in zip(data.names, data.machines, strict=True) if m == machine}
        tasks = {label: {n: t for n, t in of.items() if n in here} for label, of in ranked.items()}
        decided = {}
        others = tuple(m for m in every if m != machine)
        for kind in experience.makers:
            for trained_on in (others, (machine,), every):
                folds = on_machine(experience.folds(kind, trained_on), data, machine)
                label = f"{kind} of {' and '.join(trained_on)}"
                tasks[label] = cross_validated(data, folds)
                decided[label] = outcomes(data, offered, folds)
        found.append(Transfer(machine, tasks, {k: v for k, v in decided.items() if v}))
    return found


def on_machine(folds: Sequence[Fold], data: Measured, machine: str) -> list[Fold]:
    """The folds with the rows of one machine to test on; those that have any."""
    rows = [fold.test[[data.machines[k] == machine for k in fold.test]] for fold in folds]
    return [Fold(f.model, test) for f, test in zip(folds, rows, strict=True) if len(test)]
