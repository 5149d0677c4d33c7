"""isl's global options and its operation limit, set for one computation and put back after."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..sets import isl

MAX_OPERATIONS = 20_000_000  # a second or two of Farkas multipliers and integer programs


@contextmanager
def isl_options(max_operations: int = MAX_OPERATIONS, **options: int) -> Iterator[None]:
    """Options of the default context, such as `schedule_serialize_sccs=1`, inside the block.

    isl.Error is raised inside where a computation takes more than `max_operations` steps.
    """
    context = isl.DEFAULT_CONTEXT
    saved = {name: getattr(context, f"get_{name}")() for name in options}
    for name, value in options.items():
        getattr(context, f"set_{name}")(value)
    context.reset_operations()
    context.set_max_operations(max_operations)
    try:
        yield
    finally:
        context.set_max_operations(0)
        context.reset_operations()
        for name, value in saved.items():
            getattr(context, f"set_{name}")(value)
