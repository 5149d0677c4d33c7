"""The choices of the rules as a space: register tiles, blocks, packing, vectors, parallel loops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from random import Random
from typing import Any

from ....costmodel.hardware import Machine
from ....dialects.poly import ScopOp
from ..access_patterns import contraction_of
from ..rules.choice import ALWAYS_PARALLEL, PARALLEL_WORK, RULES, RuleChoice, alternatives

VALUES: dict[str, tuple[Any, ...]] = {
    "registers": (0.5, 0.75, 1.0),
    "caches": (0.0625, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0),
    "tile_rows": (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14),
    "tile_vectors": (0, 1, 2, 3, 4, 6, 8),
    "window_blocks": (0, 1, 2, 3, 6, 8),
    "vectors": (0.5, 1.0),
    "pack": (False, True),
    "wide": (0, 1, 2, 4, 6, 8),
    "unroll": (0, 1, 2, 4, 8, 16, 24),
    "chains": (0, 1, 2, 3, 4, 6, 8),
    "depth": (0, 64, 96, 128, 192, 256, 384, 512, 768, 1024),
    "cut": ("rule", "always", "never"),
    "copy": ("rule", "always", "never"),
    "swap": (False, True),
    "parallel_work": (PARALLEL_WORK, ALWAYS_PARALLEL, None),
    "inner": (False, True),
}
# What has no effect where nothing is multiplied, or where one thread runs.
OF_PRODUCTS = (
    "tile_rows",
    "tile_vectors",
    "window_blocks",
    "depth",
    "cut",
    "copy",
    "pack",
    "registers",
)
OF_THREADS = ("parallel_work", "inner")


@dataclass(frozen=True)
class RuleSpace:
    """Every `RuleChoice` for `scop`, those fields left alone that it cannot depend on."""

    scop: ScopOp
    machine: Machine
    threads: int

    @property
    def usual(self) -> RuleChoice:
        """The rules as they are."""
        return RULES

    def parse(self, text: str) -> RuleChoice:
        """The choice of a record; IllegalScheduleError for another text."""
        return RuleChoice.parse(text)

    def defaults(self) -> Sequence[RuleChoice]:
        """The rules as they are, and what one would try first by hand."""
        first = [RULES, *alternatives(self.threads)]
        if self._has_products:
            first += [replace(RULES, tile_vectors=n) for n in (1, 2, 4)]
            first.append(replace(RULES, swap=True))
        return first

    def sample(self, rng: Random) -> RuleChoice:
        """Up to four fields at random, the others as they are."""
        point = RULES
        for _ in range(rng.randint(1, 4)):
            point = self._changed(point, rng)
        return point

    def mutate(self, point: RuleChoice, rng: Random) -> RuleChoice:
        """One or two fields changed."""
        for _ in range(rng.choice((1, 1, 2))):
            point = self._changed(point, rng)
        return point

    def crossover(self, one: RuleChoice, other: RuleChoice, rng: Random) -> RuleChoice:
        """Each field from either."""
        return RuleChoice(
            **{f.name: getattr(rng.choice((one, other)), f.name) for f in fields(RuleChoice)}
        )

    @cached_property
    def names(self) -> list[str]:
        """The fields that may matter."""
        left_out: tuple[str, ...] = () if self._has_products else OF_PRODUCTS
        left_out += () if self.threads > 1 else OF_THREADS
        return [name for name in VALUES if name not in left_out]

    @property
    def _has_products(self) -> bool:
        return any(contraction_of(s) is not None for s in self.scop.statements)

    def _changed(self, point: RuleChoice, rng: Random) -> RuleChoice:
        name = rng.choice(self.names)
        others = [v for v in VALUES[name] if v != getattr(point, name)]
        return replace(point, **{name: rng.choice(others)})
