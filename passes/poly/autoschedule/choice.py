"""What a search may vary about an automatic schedule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from .time_tiles import TimeTile

Base = Literal["original", "distributed", "isl-max", "isl-none"]
BASES: tuple[Base, ...] = get_args(Base)


@dataclass(frozen=True)
class Choice:
    """One automatic schedule.

    `base` is the loop order that all else starts from: that of the program, the program's with
    separate nests wherever that is legal, or isl's with maximal or no fusion. `outer_parallel` asks
    isl for parallel outer loops, `expand` gives values of temporaries memory of their own, `peel`
    splits domains whose few instances feed the others first. `time_tile` applies to loops over time
    that allow it. Other permutable nests are tiled by `tile`, their vector loops by `vector_tile`;
    0 is for no tiles.
    `jam` iterations of the loops around innermost ones are done at a time where that is of use.
    """

    base: Base = "original"
    outer_parallel: bool = False
    expand: bool = False
    peel: bool = False
    time_tile: TimeTile | None = None
    tile: int = 0
    vector_tile: int = 0
    jam: int = 1
    vectors: bool = True
    parallel: bool = True

    def __str__(self) -> str:
        time = self.time_tile
        parts: list[str] = [self.base]
        parts += ["outer-parallel"] if self.outer_parallel else []
        parts += ["expand"] if self.expand else []
        parts += ["peel"] if self.peel else []
        parts += [f"{time.shape}({'x'.join(map(str, time.sizes))})"] if time else []
        parts += [f"tile({self.tile}, {self.vector_tile})"] if self.tile or self.vector_tile else []
        parts += [f"jam({self.jam})"] if self.jam > 1 else []
        parts += [] if self.vectors else ["no-vectors"]
        parts += [] if self.parallel else ["sequential"]
        return " ".join(parts)
