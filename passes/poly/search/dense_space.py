"""Register-tiled reductions as a space: what the tile model is told about the machine varies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from ....costmodel.hardware import Machine
from ....dialects.poly import ScopOp
from ....dialects.schedule import Step
from ..autoschedule.dense import dense_candidate

# Shares of the second-level cache that blocks may fill, and of the registers that tiles may.
CACHE_SHARES = (0.125, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0)
REGISTER_SHARES = (0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0)


@dataclass(frozen=True)
class DenseChoice:
    """How much of the cache and of the registers to count on, and how many threads to split for."""

    cache: float = 1.0
    registers: float = 1.0
    threads: int = 1


@dataclass(frozen=True)
class DenseSpace:
    """Schedules of `dense_candidate` for machines that are smaller or larger than the one at hand.

    None of them where no reduction has reuse: each point is illegal then.
    """

    scop: ScopOp
    machine: Machine
    threads: int

    def defaults(self) -> Sequence[DenseChoice]:
        """The machine as it is."""
        return [DenseChoice(threads=self.threads)]

    def sample(self, rng: Random) -> DenseChoice:
        """Any shares."""
        return DenseChoice(rng.choice(CACHE_SHARES), rng.choice(REGISTER_SHARES), self.threads)

    def mutate(self, point: DenseChoice, rng: Random) -> DenseChoice:
        """Another share of one of the two, or another number of threads."""
        match rng.randrange(5):
            case 0 | 1:
                return replace(point, cache=rng.choice(CACHE_SHARES))
            case 2 | 3:
                return replace(point, registers=rng.choice(REGISTER_SHARES))
            case _:
                return replace(point, threads=rng.randint(1, self.threads))

    def crossover(self, one: DenseChoice, other: DenseChoice, rng: Random) -> DenseChoice:
        """The cache of one, the registers of the other."""
        return replace(one, registers=other.registers)

    def steps(self, point: DenseChoice) -> Sequence[Step]:
        """The register-tiled schedule for the machine that `point` describes."""
        machine = replace(
            self.machine,
            l2_bytes=round(self.machine.l2_bytes * point.cache),
            vector_registers=max(4, round(self.machine.vector_registers * point.registers)),
        )
        return dense_candidate(self.scop, machine, point.threads)
