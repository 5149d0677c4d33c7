"""Progress on stderr: one line per stage, and log lines graded by TILECAST_DEBUG."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ..passes.timing import Timing
from .options import environment


def debug_level() -> int:
    """TILECAST_DEBUG as a number, 0 where it is none."""
    text = environment("TILECAST_DEBUG") or "0"
    return int(text) if text.isdigit() else 0


def log(message: str, level: int = 1) -> None:
    """Print `message` on stderr where TILECAST_DEBUG is at least `level`."""
    if debug_level() >= level:
        print(f"tilecast: {message}", file=sys.stderr)


def warn(message: str) -> None:
    """Print a warning on stderr, always."""
    print(f"tilecast: warning: {message}", file=sys.stderr)


@dataclass
class Progress:
    """Times the stages of one compilation; shows them where `visible`.

    On a terminal a running stage is shown by rich while it runs; elsewhere (files, pipes, CI) a
    plain line is printed when it is done.
    """

    visible: bool = False
    timing: Timing = field(default_factory=Timing)

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by stage, and by path of the spans within stages."""
        return dict(self.timing.seconds)

    @contextmanager
    def stage(self, name: str, detail: str = "") -> Iterator[None]:
        """Measure the block as stage `name`."""
        start = time.perf_counter()
        with self.spinner(name), self.timing.span(name):
            yield
        elapsed = time.perf_counter() - start
        if self.visible or debug_level() >= 1:
            print(f"  {name:<10} {elapsed:7.2f} s  {detail}".rstrip(), file=sys.stderr)

    @contextmanager
    def spinner(self, name: str) -> Iterator[None]:
        """A live status line on terminals, nothing elsewhere."""
        if not (self.visible and sys.stderr.isatty()):
            yield
            return
        from rich.console import Console  # slow to import, wanted on terminals only

        with Console(stderr=True).status(f"{name} ..."):
            yield
