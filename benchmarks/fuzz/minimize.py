"""Delta debugging (Zeller, Hildebrandt 2002): the fewest parts with which something still fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Part = TypeVar("Part")


def minimized(
    parts: Sequence[Part], fail: Callable[[list[list[Part]]], Sequence[bool]]
) -> list[Part]:
    """A part of `parts`, which fail together, that fails and of which no single one can go.

    `fail` says of several candidates at once which of them fail.
    """
    left, size = list(parts), max(1, len(parts) // 2)
    while left:
        starts = range(0, len(left), size)
        candidates = [left[:start] + left[start + size :] for start in starts]
        verdicts = fail(candidates)
        smaller = next((c for c, failed in zip(candidates, verdicts, strict=True) if failed), None)
        if smaller is not None:
            left, size = smaller, max(1, min(size, len(smaller) // 2))
        elif size == 1:
            break
        else:
            size //= 2
    return left
