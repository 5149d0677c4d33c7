"""One turn of an engine: calls for about so many seconds, each timed."""

from __future__ import annotations

import time
from collections.abc import Callable


def run_for(call: Callable[[], object], seconds: float) -> list[float]:
    """Seconds of each call, calling for about `seconds` after a first call."""
    times: list[float] = []
    call()
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return times
