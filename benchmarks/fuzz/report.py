"""What fuzzing found: counts of outcomes, why cases were refused, and every failure."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Failure:
    """A model or program that is wrong, as small as it gets, and the command that shows it."""

    seed: int
    status: str
    reason: str
    text: str
    reproduce: str

    def __str__(self) -> str:
        """One line that reproduces it, and what it shows."""
        return f"{self.status}: {self.reproduce}\n  {self.reason}\n  {self.text}"


@dataclass
class Report:
    """The outcomes of the first `seeds` so far."""

    seeds: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "counts": dict(sorted(self.counts.items())),
            "failures": [asdict(failure) for failure in self.failures],
            "refusals": dict(self.refusals.most_common()),
        }
