"""The machine as cost models see it: vector unit, caches, and what it reaches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..hardware import Machine
from ..speeds import LEVELS, Speeds
from .nests import Array

HARDWARE_NAMES = (
    *("log_peak_f32", "log_peak_f64", "log_peak_i32", "vector_bytes", "vector_registers"),
    *("log_l1_bytes", "log_l2_bytes", "log_l3_bytes"),
    *(f"log_read_{level}" for level in LEVELS),
    *("log_region_seconds", "threads"),
)


WIDE = 64  # bytes of a vector that takes both of two units that shorter ones can use


@dataclass(frozen=True)
class Hardware:
    """A machine and its speeds: an input of every model."""

    machine: Machine
    speeds: Speeds

    @property
    def units(self) -> int:
        """Whole vectors that arithmetic begins with in a cycle."""
        return 1 if self.machine.vector_bytes >= WIDE else 2

    def lanes(self, element_bytes: int) -> int:
        """Lanes of a whole vector."""
        return max(self.machine.lanes(element_bytes), 1)

    def clock(self, element: str, element_bytes: int) -> float:
        """Cycles per second, as the peak has it."""
        return self.speeds.peak(element) / (2 * self.lanes(element_bytes) * self.units)

    def features(self, threads: int) -> Array:
        """Values of `HARDWARE_NAMES`."""
        m, s = self.machine, self.speeds
        sizes = np.log([m.l1_bytes, m.l2_bytes, m.l3_bytes])
        rates = np.log([s.bandwidth(level, threads).read for level in LEVELS])
        peaks = np.log([s.peak(name) for name in ("f32", "f64", "i32")])
        vector = [m.vector_bytes, m.vector_registers]
        return np.array(
            [*peaks, *vector, *sizes, *rates, np.log(s.region_seconds(threads)), threads]
        )
