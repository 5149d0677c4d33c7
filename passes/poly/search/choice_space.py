"""The choices of the automatic scheduler as a space: loop order, tiles, vectors, threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from random import Random

from ....costmodel.hardware import Machine
from ....dialects.poly import ScopOp
from ....dialects.schedule import Step
from ..autoschedule.candidate import candidate
from ..autoschedule.choice import BASES, Choice
from ..autoschedule.defaults import default_choice
from ..autoschedule.nest import ScheduledScop
from ..autoschedule.time_tiles import TimeTile
from ..dependences.dependences import dependences_of

TILES = (0, 8, 16, 32, 48, 64, 96, 128, 256)
VECTOR_TILES = (0, 64, 128, 256, 512, 1024)
SCALES = (0.25, 0.5, 0.75, 1.5, 2.0, 4.0)
LARGEST_SIZE = 4096


@dataclass
class ChoiceSpace:
    """Every `Choice` for `scop`; time tiles are varied around the machine's where there are any."""

    scop: ScopOp
    machine: Machine
    threads: int
    default: Choice = field(init=False)

    def __post_init__(self) -> None:
        self.dependences = dependences_of(self.scop)
        scheduled = ScheduledScop(self.scop, self.dependences)
        self.default = default_choice(scheduled, self.machine, self.threads)

    def defaults(self) -> Sequence[Choice]:
        """The machine's choice, and the other loop orders without time tiles."""
        plain = [
            Choice(base, peel=base == "distributed", tile=32, vector_tile=512) for base in BASES
        ]
        untiled = [Choice("distributed"), Choice("original"), Choice("isl-max")]
        return list(dict.fromkeys([self.default, *plain, *untiled]))

    def sample(self, rng: Random) -> Choice:
        """All fields at random."""
        point = Choice(
            base=rng.choice(BASES),
            outer_parallel=rng.random() < 0.3,
            expand=rng.random() < 0.5,
            peel=rng.random() < 0.5,
            time_tile=self._time_tile(rng) if rng.random() < 0.6 else None,
            tile=rng.choice(TILES),
            vector_tile=rng.choice(VECTOR_TILES),
        )
        return replace(point, parallel=self.threads > 1 and rng.random() < 0.85)

    def mutate(self, point: Choice, rng: Random) -> Choice:
        """One or two fields changed."""
        for _ in range(rng.choice((1, 1, 2))):
            point = self._change(point, rng)
        return point

    def crossover(self, one: Choice, other: Choice, rng: Random) -> Choice:
        """Each field from either."""
        taken = {f.name: getattr(rng.choice((one, other)), f.name) for f in fields(Choice)}
        return Choice(**taken)

    def steps(self, point: Choice) -> Sequence[Step]:
        """The automatic schedule of `point`."""
        return candidate(self.scop, self.dependences, self.machine, self.threads, point)

    def _change(self, point: Choice, rng: Random) -> Choice:
        if point.time_tile is not None and rng.random() < 0.6:
            return replace(point, time_tile=_resized(point.time_tile, rng))
        match rng.randrange(9):
            case 0:
                return replace(point, base=rng.choice(BASES))
            case 1:
                return replace(point, outer_parallel=not point.outer_parallel)
            case 2:
                return replace(point, vector_tile=rng.choice(VECTOR_TILES))
            case 3 if self.threads > 1:
                return replace(point, parallel=not point.parallel)
            case 6:
                return replace(point, peel=not point.peel)
            case 7:
                return replace(point, expand=not point.expand)
            case 4 if rng.random() < 0.3:
                return replace(point, vectors=not point.vectors)
            case 5 if self.default.time_tile is not None:
                tile = None if point.time_tile is not None else self._time_tile(rng)
                return replace(point, time_tile=tile)
            case _:
                return replace(point, tile=rng.choice(TILES))

    def _time_tile(self, rng: Random) -> TimeTile | None:
        """The machine's time tile, changed a few times."""
        tile = self.default.time_tile
        for _ in range(rng.randint(0, 3) if tile is not None else 0):
            assert tile is not None
            tile = _resized(tile, rng)
        return tile


def _resized(tile: TimeTile, rng: Random) -> TimeTile:
    """Another shape, one dim of space more or less, or another size."""
    sizes = list(tile.sizes)
    action = rng.random()
    if action < 0.1:
        return TimeTile("leaning" if tile.shape == "diamond" else "diamond", tile.sizes)
    if action < 0.2 and len(sizes) > 2:
        return TimeTile(tile.shape, tuple(sizes[:-1]))
    if action < 0.3:
        return TimeTile(tile.shape, (*sizes, rng.choice((32, 64, 128, 256))))
    at = rng.randrange(len(sizes))
    sizes[at] = min(LARGEST_SIZE, max(2, round(sizes[at] * rng.choice(SCALES))))
    if tile.shape == "diamond":
        sizes[0] = sizes[1] = sizes[min(at, 1)]
    return TimeTile(tile.shape, tuple(sizes))
