"""How long a search may go on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """Limits of a search: seconds of wall time, evaluated candidates; None is no limit.

    `proposals` bounds the candidates that are drawn at all, so that a space with few different
    schedules comes to an end.
    """

    seconds: float | None = None
    evaluations: int | None = None
    proposals: int = 100_000

    def allows(self, elapsed: float, evaluations: int, proposals: int) -> bool:
        """Whether another candidate may be looked at."""
        if self.seconds is not None and elapsed >= self.seconds:
            return False
        if self.evaluations is not None and evaluations >= self.evaluations:
            return False
        return proposals < self.proposals
