"""Where compile time goes: spans of work, one inside the other, by path of names.

`span("isl AST")` measures its block under whatever spans are open around it, for the compilation
that runs in this thread; where none is measured it costs next to nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

SEPARATOR = "/"


@dataclass
class Timing:
    """Seconds by path, such as "loops/lower-scop/isl AST"; spans of one path add up."""

    seconds: dict[str, float] = field(default_factory=dict)
    path: list[str] = field(default_factory=list)

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        """Measure the block, and let the spans within it be parts of it."""
        token = _active.set(self)
        self.path.append(name)
        key = SEPARATOR.join(self.path)
        self.seconds.setdefault(key, 0.0)  # a whole comes before its parts
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[key] += time.perf_counter() - start
            self.path.pop()
            _active.reset(token)


_active: ContextVar[Timing | None] = ContextVar("timing", default=None)


@contextmanager
def span(name: str) -> Iterator[None]:
    """Measure the block as part of the span that is open in this thread, if one is."""
    timing = _active.get()
    if timing is None:
        yield
        return
    with timing.span(name):
        yield
