"""Time of one term of all sums of a register tile: multiply-adds, loads, or latency.

The unit is a multiply-add of vectors where all units are busy: a cycle where a vector is as wide as
both units together (Zen 4 with 512 bits), half a cycle where it is as wide as one of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from .hardware import Machine

LATENCY = 8  # independent sums that keep the multiply-add units busy
# Of one vector from the second-level cache in a long stream: 13 bytes per cycle (Zen 3, measured
# with tiles of 2 to 4 vectors). Whole tiles of 32 registers have more multiply-adds than that.
STREAM = 5.0


@dataclass(frozen=True)
class TileCost:
    """Sums of `vectors` x `broadcasts`: of vectors that are loaded, and elements in all lanes.

    `is_streamed` says that the vectors come from the second-level cache; loops around the inner one
    take `overhead`.
    """

    machine: Machine
    is_streamed: bool = False
    overhead: float = 1.0

    def term(self, vectors: int, broadcasts: int) -> float:
        """Of one term of all sums."""
        loads = vectors + broadcasts * self.machine.broadcast_loads
        is_slow = self.is_streamed and self.machine.has_few_registers
        stream = STREAM * vectors if is_slow else 0.0
        busy = max(vectors * broadcasts, loads, LATENCY, stream)
        return busy + self.overhead * (loads / 8 + 1)
