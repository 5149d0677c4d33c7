"""Calls in a process of their own, which wrong code may kill."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing import get_context
from typing import Any, TypeVar

Item = TypeVar("Item")

_POOL: list[ProcessPoolExecutor] = []


def pool() -> ProcessPoolExecutor:
    """The one worker, started when first needed and after it died."""
    if not _POOL:
        _POOL.append(ProcessPoolExecutor(1, mp_context=get_context("spawn")))
    return _POOL[0]


def run_isolated(
    function: Callable[[Sequence[Item], str], list[Any]],
    items: Sequence[Item],
    argument: str,
    died: Any,
) -> list[Any]:
    """`function(items, argument)`, one result per item; an item that kills its process has `died`
    (with its index)."""
    if not items:
        return []
    try:
        return pool().submit(function, items, argument).result()
    except BrokenProcessPool:
        _POOL.clear()
    if len(items) == 1:
        return [died]
    half = len(items) // 2
    parts = items[:half], items[half:]
    found = [r for part in parts for r in run_isolated(function, part, argument, died)]
    return [replace(result, index=k) for k, result in enumerate(found)]
