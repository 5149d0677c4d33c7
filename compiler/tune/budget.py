"""How much a tuning run may measure: `20` schedules, or `90s` of time."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...dialects.errors import OptionError

MOST = 10_000_000


@dataclass(frozen=True)
class TuningBudget:
    """Schedules, recorded ones of earlier runs included, or seconds of this run."""

    trials: int | None = None
    seconds: float | None = None

    @staticmethod
    def parse(text: str) -> TuningBudget:
        """The budget that `text` stands for; OptionError for other text."""
        found = re.fullmatch(r"(\d{1,8})(s?)", text.strip())
        if found is None or not 1 <= int(found[1]) <= MOST:
            raise OptionError(
                f"tune: expected a number of measurements such as 200, or seconds such as '90s', "
                f"got {text!r}"
            )
        number = int(found[1])
        return TuningBudget(seconds=float(number)) if found[2] else TuningBudget(trials=number)

    def left(self, trials: int, elapsed: float) -> float:
        """The share that is left."""
        if self.seconds is not None:
            return 1 - elapsed / self.seconds
        assert self.trials is not None
        return 1 - trials / self.trials
