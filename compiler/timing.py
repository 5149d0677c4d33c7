"""Where the time of one compilation went, as a table of stages and their passes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..passes.timing import SEPARATOR

LEAST_SHARE = 0.002  # parts that take less are left out of the table
UNNAMED = "(other)"


@dataclass(frozen=True)
class CompileTiming:
    """Seconds by path of stage, pass and part; the sizes of what was compiled.

    `is_stored` says that the compilation was an earlier one, whose result came from the cache.
    """

    seconds: Mapping[str, float]
    kernels: int
    launches: int
    is_stored: bool = False

    @property
    def total(self) -> float:
        """Seconds of all stages."""
        return sum(s for path, s in self.seconds.items() if SEPARATOR not in path)

    def rows(self) -> Iterator[tuple[int, str, float]]:
        """Depth, name and seconds, wholes before their parts; what parts leave over is a part."""
        yield from self._below("", 0)

    def _below(self, prefix: str, depth: int) -> Iterator[tuple[int, str, float]]:
        for path, seconds in self.seconds.items():
            name = path.removeprefix(prefix)
            if not path.startswith(prefix) or not name or SEPARATOR in name:
                continue
            yield depth, name, seconds
            inner = list(self._below(f"{path}{SEPARATOR}", depth + 1))
            yield from inner
            if inner:
                named = sum(part for level, _, part in inner if level == depth + 1)
                yield depth + 1, UNNAMED, max(0.0, seconds - named)

    def __str__(self) -> str:
        total = self.total or 1.0
        lines = [f"{'stage, pass, part':<44}{'seconds':>9}{'share':>8}"]
        for depth, name, seconds in self.rows():
            if depth and seconds < LEAST_SHARE * total:
                continue
            label = "  " * depth + name
            lines.append(f"{label:<44}{seconds:>9.3f}{seconds / total:>8.1%}")
        lines.append(f"{'total':<44}{self.total:>9.3f}")
        lines.append(f"{self.kernels} kernels, launched {self.launches} times")
        if self.is_stored:
            lines.append("the result came from the cache: these are the times of when it was made")
        return "\n".join(lines)
