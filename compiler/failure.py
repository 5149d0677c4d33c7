"""Compilations that fail by a defect leave a folder behind; nothing is loaded where none does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..dialects.errors import PassError, RefusedSourceError

if TYPE_CHECKING:
    from .job import Job


@contextmanager
def defects_kept(job: Job, schedules: Mapping[str, str] | None = None) -> Iterator[None]:
    """A pass that raises in the block, or C that is refused: the error tells of the folder."""
    try:
        yield
    except (PassError, RefusedSourceError) as error:
        from .bisect.on_failure import left_behind

        told = left_behind(error, job, schedules)
        error.args = (f"{error}\n{told}", *error.args[1:])
        raise
