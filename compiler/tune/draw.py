"""Different legal schedules of a scop for training data."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from ...dialects.errors import IllegalScheduleError
from ...passes.poly.search import Candidate, ScopCheck, SearchSpace


@dataclass(frozen=True)
class Effort:
    """Schedules of a task, proposals to find them among, seconds of computing for that (a shared
    machine takes longer)."""

    schedules: int = 24
    proposals: int = 200
    drawing_seconds: float = 25.0


def computed_seconds() -> float:
    """What this process and those it waited for have computed."""
    return sum(os.times()[:4])


def draw(space: SearchSpace[Any], check: ScopCheck, effort: Effort, rng: Random) -> Iterator[str]:
    """The texts of different legal schedules: defaults, samples, and mutants of these."""
    seen: set[str] = set()
    points: list[Any] = []
    end = computed_seconds() + effort.drawing_seconds
    proposals = list(space.defaults())
    for _ in range(effort.proposals):
        if len(seen) == effort.schedules or computed_seconds() > end:
            return
        if proposals:
            point = proposals.pop(0)
        elif points and rng.random() < 0.5:
            point = space.mutate(rng.choice(points), rng)
        else:
            point = space.sample(rng)
        try:
            candidate = Candidate(tuple(space.steps(point)))
            if candidate.text in seen:
                continue
            check(candidate)
        except IllegalScheduleError:
            continue
        seen.add(candidate.text)
        points.append(point)
        yield candidate.text
