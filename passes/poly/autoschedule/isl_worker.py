"""A process of its own for isl's scheduler: relations in as JSON on stdin, a schedule out as text.

isl's scheduler can take minutes, and no operation limit of isl stops it; how long it takes for one
problem varies with what the isl context held before. A fresh process is repeatable and can be
stopped. Run as a file, so that it needs nothing but islpy.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import islpy


def union(pieces: Sequence[str]) -> Any:
    """The union of sets or maps in isl's syntax."""
    isl: Any = islpy
    total = isl.UnionMap("{ }")
    for piece in pieces:
        total = total.union(isl.UnionMap(piece))
    return total


def main() -> None:
    """Read `options`, `domains`, `validity`, `coincidence` and `proximity`; print the schedule."""
    isl: Any = islpy
    problem = json.load(sys.stdin)
    for name, value in problem["options"].items():
        getattr(isl.DEFAULT_CONTEXT, f"set_schedule_{name}")(value)
    domain = isl.UnionSet("{ }")
    for piece in problem["domains"]:
        domain = domain.union(isl.UnionSet(piece))
    constraints = (
        isl.ScheduleConstraints.on_domain(domain)
        .set_validity(union(problem["validity"]))
        .set_coincidence(union(problem["coincidence"]))
        .set_proximity(union(problem["proximity"]))
    )
    try:
        schedule = constraints.compute_schedule()
    except isl.Error as error:
        sys.exit(str(error))
    print(schedule.to_str())


if __name__ == "__main__":
    main()
