"""What a machine reaches: arithmetic per type, bandwidth per level and threads, cost of a region.

Measured by `compiler/probe`, estimated here for machines that are not at hand.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any, Literal, get_args

from ..dialects.errors import InvalidInputError
from .hardware import Machine

SCHEMA = 1
Level = Literal["l1", "l2", "l3", "memory"]
LEVELS: tuple[Level, ...] = get_args(Level)
ELEMENT_BYTES = {"f32": 4, "f64": 8, "i32": 4}


@dataclass(frozen=True)
class Bandwidth:
    """Bytes per second that `threads` threads together read, and copy (read and write both count),
    with a working set that `level` holds."""

    level: Level
    threads: int
    read: float
    copy: float


@dataclass(frozen=True)
class Speeds:
    """What a machine reaches. `flops` are operations per second of one core by type, an fma being
    two; `regions` are seconds that a parallel region without work takes, by number of threads."""

    flops: Mapping[str, float]
    bandwidths: tuple[Bandwidth, ...]
    regions: Mapping[int, float]
    measured: bool = True

    def bandwidth(self, level: Level, threads: int) -> Bandwidth:
        """That of the number of threads closest to `threads`."""
        found = [b for b in self.bandwidths if b.level == level]
        return min(found, key=lambda b: (abs(b.threads - threads), b.threads))

    def region_seconds(self, threads: int) -> float:
        """Of the number of threads closest to `threads`."""
        return self.regions[min(self.regions, key=lambda t: (abs(t - threads), t))]

    def peak(self, element: str, threads: int = 1) -> float:
        """Operations per second on elements such as f32; unknown types count as i32."""
        return self.flops.get(element, self.flops["i32"]) * threads

    def to_json(self) -> str:
        """Text that `from_json` reads."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1, sort_keys=True)

    @staticmethod
    def from_json(text: str) -> Speeds:
        """The speeds that `to_json` wrote; InvalidInputError for anything else."""
        try:
            data = json.loads(text)
            if data["schema"] != SCHEMA:
                raise ValueError(f"schema {data['schema']!r}, expected {SCHEMA}")
            speeds = Speeds(
                {str(k): positive(v) for k, v in data["flops"].items()},
                tuple(
                    Bandwidth(
                        b["level"], int(b["threads"]), positive(b["read"]), positive(b["copy"])
                    )
                    for b in data["bandwidths"]
                ),
                {int(k): positive(v) for k, v in data["regions"].items()},
                bool(data["measured"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidInputError(f"these are no speeds of a machine: {error}") from error
        levels = {b.level for b in speeds.bandwidths}
        if (
            levels != set(LEVELS)
            or not speeds.regions
            or not ELEMENT_BYTES.keys() <= speeds.flops.keys()
        ):
            raise InvalidInputError(
                "these are no speeds of a machine: expected every memory level, "
                f"{', '.join(ELEMENT_BYTES)}, and parallel regions"
            )
        return speeds


def positive(value: Any) -> float:
    """`value` as a positive, finite number; ValueError for anything else."""
    number = float(value)
    if not (isfinite(number) and number > 0):
        raise ValueError(f"expected a positive number, found {value!r}")
    return number


def estimated_speeds(machine: Machine) -> Speeds:
    """Speeds of an average core of this kind at 3 GHz, two vector operations per cycle."""
    clock = 3e9
    flops = {name: 4 * clock * machine.lanes(size) for name, size in ELEMENT_BYTES.items()}
    per_cycle: dict[Level, float] = {"l1": 64.0, "l2": 32.0, "l3": 10.0}
    shares = sorted({1, machine.cores})
    bandwidths = [
        Bandwidth(level, t, clock * rate * t, clock * rate * t)
        for level, rate in per_cycle.items()
        for t in shares
    ]
    bandwidths += [Bandwidth("memory", t, 12e9 * min(t, 4), 12e9 * min(t, 4)) for t in shares]
    regions = {t: 2e-7 if t == 1 else 2e-6 + 2e-7 * t for t in shares}
    return Speeds(flops, tuple(bandwidths), regions, measured=False)
