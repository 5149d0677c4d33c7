"""Metrics of rankings and predicted times, over tasks, with confidence intervals.

The top-k score is TenSet's (Zheng et al. 2021): the sum over tasks of the best time, over the sum
of the best time among the k candidates that the model ranks first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from ..features.nests import Array

RESAMPLES = 1000
CLEAR = 0.05  # differences beyond what repeated measurements differ by
ALIKE = 0.02  # times that hardly differ


@dataclass(frozen=True, eq=False)
class Ranked:
    """One task: what was measured, the model's scores (higher is faster) and predicted seconds."""

    measured: Array
    scores: Array
    predicted: Array


@dataclass(frozen=True)
class Figure:
    """A metric with its 95% interval over resampled tasks."""

    value: float
    low: float
    high: float


def top_k(tasks: Sequence[Ranked], k: int) -> float:
    """Mean over tasks of the best time over the best of the first k; 1 is a perfect choice.

    Tasks count alike: times of different programs have no common weight.
    """
    return float(np.mean([t.measured.min() / t.measured[first(t, k)].min() for t in tasks]))


def first(task: Ranked, k: int) -> npt.NDArray[np.int64]:
    """The candidates with the k highest scores."""
    return np.argsort(-task.scores, kind="stable")[:k]


def spearman(tasks: Sequence[Ranked]) -> float:
    """Mean rank correlation of scores with speed; 0 where a model says the same of all."""
    found = []
    for t in tasks:
        if np.ptp(t.scores) == 0 or np.ptp(t.measured) == 0:
            found.append(0.0)
        else:
            found.append(float(spearmanr(t.scores, -t.measured).statistic))
    return float(np.mean(found))


def spearman_of_groups(tasks: Sequence[Ranked]) -> float:
    """`spearman`, had the model put schedules within `ALIKE` of each other in their measured order:
    what is missing here is order among schedules that do differ."""
    return spearman([alike_in_order(t) for t in tasks])


def alike_in_order(task: Ranked) -> Ranked:
    """The task with the scores of schedules that take about the same time exchanged among them so
    that they are in order. A group is the fastest that is in none yet and all within `ALIKE`."""
    order = np.argsort(task.measured, kind="stable")
    times, scores = task.measured[order], task.scores.copy()
    first = 0
    while first < len(order):
        last = int(np.searchsorted(times, times[first] * (1 + ALIKE), side="right"))
        group = order[first:last]
        scores[group] = -np.sort(-task.scores[group])
        first = last
    return Ranked(task.measured, scores, task.predicted)


def ordered_pairs(tasks: Sequence[Ranked]) -> float:
    """Mean share of the pairs whose times differ by more than `CLEAR` that are in order; tasks
    without such pairs have nothing to be right or wrong about, and count as right."""
    found = []
    for t in tasks:
        shorter = t.measured[:, None] * (1 + CLEAR) < t.measured[None, :]
        higher = np.sign(t.scores[:, None] - t.scores[None, :])
        found.append(float((0.5 + higher[shorter] / 2).mean()) if shorter.any() else 1.0)
    return float(np.mean(found))


def ndcg(tasks: Sequence[Ranked], k: int) -> float:
    """Mean normalised discounted gain of the first k, the gain being best time over time."""
    found = []
    for t in tasks:
        gain = t.measured.min() / t.measured
        discount = 1 / np.log2(np.arange(2, min(k, len(gain)) + 2))
        ideal = np.sort(gain)[::-1][: len(discount)] @ discount
        found.append(gain[first(t, k)] @ discount / ideal)
    return float(np.mean(found))


def mape(tasks: Sequence[Ranked]) -> float:
    """Mean over tasks of the mean absolute error of seconds, as a share of the measured ones."""
    return float(np.mean([np.mean(np.abs(t.predicted / t.measured - 1)) for t in tasks]))


def median_factor(tasks: Sequence[Ranked]) -> float:
    """Mean over tasks of the median factor by which predicted seconds are off."""
    found = [np.exp(np.median(np.abs(np.log(t.predicted / t.measured)))) for t in tasks]
    return float(np.mean(found))


METRICS: dict[str, Callable[[Sequence[Ranked]], float]] = {
    "top-1": lambda tasks: top_k(tasks, 1),
    "top-5": lambda tasks: top_k(tasks, 5),
    "spearman": spearman,
    "of groups": spearman_of_groups,
    "pairs": ordered_pairs,
    "ndcg@1": lambda tasks: ndcg(tasks, 1),
    "ndcg@5": lambda tasks: ndcg(tasks, 5),
    "mape": mape,
    "median factor": median_factor,
}


def figures(tasks: Sequence[Ranked], seed: int = 0) -> dict[str, Figure]:
    """Every metric with its interval."""
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(tasks), (RESAMPLES, len(tasks)))
    found = {}
    for name, metric in METRICS.items():
        single = np.array([metric([t]) for t in tasks])
        # Every metric is a mean over tasks, so that of a resample is one over its tasks.
        means = single[draws].mean(axis=1)
        low, high = np.quantile(means, [0.025, 0.975])
        found[name] = Figure(metric(tasks), float(low), float(high))
    return found
