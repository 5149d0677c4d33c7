"""What decisions without measurements would have cost or gained, on held-out families.

For each kernel of a network that was measured under the rules' own choice and under alternatives,
a model that has seen nothing of its family decides; the times of both say what that was worth.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..decision import weigh
from .evaluate import Fold, Measured

USUAL = "rules"


@dataclass(frozen=True)
class Outcome:
    """One kernel: times of the rules' choice, of the one taken, and of the best there is."""

    name: str
    usual: float
    taken: float
    best: float
    is_changed: bool


def outcomes(data: Measured, offered: Collection[str], folds: Sequence[Fold]) -> list[Outcome]:
    """The outcome for every task that has a choice among `offered` besides the usual one, each by
    the model that has not seen its family."""
    found = []
    choices, names = np.array(data.choices), np.array(data.names)
    for fold in folds:
        for name in sorted(set(names[fold.test])):
            rows = fold.test[names[fold.test] == name]
            usual = rows[choices[rows] == USUAL]
            others = rows[np.isin(choices[rows], list(offered))]
            if len(usual) != 1 or not len(others):
                continue
            known = np.concatenate([usual, others])
            number, _, _ = weigh(fold.model, data.candidates.chosen(known))
            times = data.seconds[known]
            found.append(
                Outcome(
                    name, float(times[0]), float(times[number]), float(times.min()), number != 0
                )
            )
    return found


def decision_table(columns: Mapping[str, Sequence[Outcome]]) -> str:
    """Kernels, decisions against the rules, and time of the rules over that of the decision; a
    column each."""
    if not all(columns.values()):
        return "No kernel was measured under several choices."
    facts = {label: decision_facts(found) for label, found in columns.items()}
    names = next(iter(facts.values()))
    return "\n".join(
        [
            f"| what | {' | '.join(columns)} |",
            "|---|" + "---|" * len(columns),
            *(f"| {name} | {' | '.join(f[name] for f in facts.values())} |" for name in names),
        ]
    )


def decision_facts(found: Sequence[Outcome]) -> dict[str, str]:
    """What the decisions came to, by name."""
    gains = np.array([o.usual / o.taken for o in found])
    best = np.array([o.usual / o.best for o in found])
    changed = gains[[o.is_changed for o in found]]
    regret = np.array([o.taken / o.best for o in found])
    total = sum(o.usual for o in found) / sum(o.taken for o in found)
    better, worse = (changed > 1.02).sum(), (changed < 0.98).sum()
    return {
        "kernels": f"{len(found)}",
        "decided against the rules": f"{len(changed)}",
        "of these faster / slower by more than 2%": f"{better} / {worse}",
        "speed over the rules, geometric mean": f"{geometric(gains):.3f}",
        "the same where it decided against them": f"{geometric(changed):.3f}",
        "worst, best kernel": f"{gains.min():.2f}, {gains.max():.2f}",
        "total time of the rules over that of the decisions": f"{total:.3f}",
        "the best alternative would give, geometric mean": f"{geometric(best):.3f}",
        "regret: time over that of the best alternative": f"{geometric(regret):.3f}",
    }


def geometric(values: np.ndarray) -> float:
    """The geometric mean; 1 of nothing."""
    return float(np.exp(np.log(values).mean())) if len(values) else 1.0
