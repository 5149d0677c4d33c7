"""What a verification found: one row per checked output, printable and storable."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from ...dialects.errors import VerifyFailure


@dataclass(frozen=True)
class CheckResult:
    """One output compared with its float64 reference.

    Errors are maxima over all elements; `max_ulp` counts units in the last place of the output
    type. `margin` is the largest error divided by what is allowed there, so above 1 is a failure.
    `index`, `found` and `expected` describe the element with the largest margin.
    """

    kind: Literal["kernel", "model"]
    name: str
    dtype: str
    elements: int
    max_abs: float
    max_rel: float
    max_ulp: float
    eager_abs: float
    margin: float
    index: tuple[int, ...]
    found: float
    expected: float

    @property
    def passed(self) -> bool:
        """Whether every element is within its bound (a NaN margin is not)."""
        return self.margin <= 1.0

    @property
    def eager_ratio(self) -> float:
        """Largest error as a multiple of eager's largest; 0 where both are exact."""
        if self.max_abs == 0.0:
            return 0.0
        return self.max_abs / self.eager_abs if self.eager_abs > 0.0 else float("inf")

    def to_json(self) -> dict[str, Any]:
        """Plain data; JSON has no NaN or infinity, so these are words."""
        return {name: plain(value) for name, value in asdict(self).items()}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> CheckResult:
        """Back from `to_json`."""
        numbers = {
            field.name: float(data[field.name])
            for field in fields(CheckResult)
            if field.type == "float"
        }
        return CheckResult(**{**data, **numbers, "index": tuple(data["index"])})


@dataclass(frozen=True)
class VerifyReport:
    """Results of all checks, and the seed their random inputs came from."""

    results: tuple[CheckResult, ...]
    seed: int = 0

    @property
    def passed(self) -> bool:
        """Whether all checks passed."""
        return all(result.passed for result in self.results)

    def check(self) -> None:
        """VerifyFailure naming the worst element of the worst output, unless all passed."""
        failed = [result for result in self.results if not result.passed]
        if not failed:
            return
        worst = max(failed, key=lambda r: r.margin if r.margin == r.margin else float("inf"))
        raise VerifyFailure(
            f"{len(failed)} of {len(self.results)} checks failed. "
            f"Worst: {worst.kind} {worst.name}, element {list(worst.index)}: "
            f"found {worst.found!r}, expected {worst.expected!r} "
            f"({worst.margin:.3g} times the allowed error; seed {self.seed})"
        )

    def __str__(self) -> str:
        header = (
            f"{'':6} {'checked output':<34} {'type':<8} {'max abs':>9} {'max rel':>9} "
            f"{'max ULP':>9} {'x eager':>8} {'of bound':>8}"
        )
        rows = [header, *map(row, self.results)]
        failed = sum(not result.passed for result in self.results)
        rows.append(f"{len(self.results)} outputs checked, {failed} failed (seed {self.seed})")
        return "\n".join(rows)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"seed": self.seed, "results": [result.to_json() for result in self.results]}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> VerifyReport:
        """Back from `to_json`."""
        results = (CheckResult.from_json(item) for item in data["results"])
        return VerifyReport(tuple(results), data["seed"])


def plain(value: Any) -> Any:
    """`value`, or its name where it is a float that is not finite."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def row(result: CheckResult) -> str:
    """One line of the table."""
    mark = "" if result.passed else "  FAILED"
    return (
        f"{result.kind:<6} {result.name:<34} {result.dtype:<8} {result.max_abs:9.2e} "
        f"{result.max_rel:9.2e} {result.max_ulp:9.3g} {result.eager_ratio:8.2f} "
        f"{result.margin:8.3f}{mark}"
    )
