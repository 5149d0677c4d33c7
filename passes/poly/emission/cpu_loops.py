"""What kinds of loops a CPU has."""

from __future__ import annotations

from ....dialects.errors import IllegalScheduleError
from ....dialects.schedule import Node, bands_of


def check_loops_run_on_cpu(tree: Node) -> None:
    """Raise IllegalScheduleError for a loop that is bound to blocks or threads of a GPU."""
    for band in bands_of(tree):
        if band.kind not in ("for", "parallel", "unroll", "vector"):
            raise IllegalScheduleError(
                f"loop {band.axis!r} is bound to {band.kind}, which a CPU does not have; "
                "use parallelize, or compile for a GPU"
            )
