"""Register-tiled reductions as a space: what the tile model is told about the machine varies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from ....costmodel.hardware import Machine
from ....dialects.poly import ScopOp
from ....dialects.schedule import Step
from ..autoschedule.blocked import blocked_candidate, default_block
from ..autoschedule.dense import DEPTH, dense_candidate

# Shares of the second-level cache that blocks may fill, and of the registers that tiles may.
CACHE_SHARES = (0.125, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0)
DEPTHS = (128, 192, 256, 384, 512, 1024)
BLOCKS = (32, 48, 64, 96, 144, 192)
REGISTER_SHARES = (0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0)


@dataclass(frozen=True)
class DenseChoice:
    """How much of the cache and of the registers to count on, how many threads to split for, and
    the iterations of a reduction per block. `block` is the size of a blocked factorization, 0 for
    separate loop nests."""

    cache: float = 1.0
    registers: float = 1.0
    threads: int = 1
    depth: int = DEPTH
    block: int = 0


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
        nests = DenseChoice(threads=self.threads)
        return [nests, replace(nests, block=default_block(self.scop))]

    def sample(self, rng: Random) -> DenseChoice:
        """Any shares."""
        return DenseChoice(
            rng.choice(CACHE_SHARES),
            rng.choice(REGISTER_SHARES),
            self.threads,
            rng.choice(DEPTHS),
            rng.choice((0, *BLOCKS)),
        )

    def mutate(self, point: DenseChoice, rng: Random) -> DenseChoice:
        """Another share of one of the two, or another number of threads."""
        match rng.randrange(7):
            case 0 | 1:
                return replace(point, cache=rng.choice(CACHE_SHARES))
            case 2 | 3:
                return replace(point, registers=rng.choice(REGISTER_SHARES))
            case 4 | 5 if point.block:
                return replace(point, block=rng.choice(BLOCKS))
            case 4 | 5:
                return replace(point, depth=rng.choice(DEPTHS))
            case _:
                return replace(point, threads=rng.randint(1, self.threads))

    def crossover(self, one: DenseChoice, other: DenseChoice, rng: Random) -> DenseChoice:
        """The cache and blocks of one, the registers and threads of the other."""
        return replace(one, registers=other.registers, threads=other.threads)

    def steps(self, point: DenseChoice) -> Sequence[Step]:
        """The register-tiled schedule for the machine that `point` describes."""
        machine = replace(
            self.machine,
            l2_bytes=round(self.machine.l2_bytes * point.cache),
            vector_registers=max(4, round(self.machine.vector_registers * point.registers)),
        )
        if point.block:
            return blocked_candidate(self.scop, machine, point.threads, point.block)
        return dense_candidate(self.scop, machine, point.threads, point.depth)
