"""Tables of 8 or 16 numbers and other constants of the functions, as data: `tables.json`.

`benchmarks.mathlib.fit_tables` writes it.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

STORE = Path(__file__).with_name("tables.json")


@cache
def stored() -> dict[str, tuple[float, ...]]:
    """Every table by "name.type", as in "log2.f32"."""
    return {key: tuple(numbers) for key, numbers in json.loads(STORE.read_text()).items()}


def table(name: str, element: str) -> tuple[float, ...]:
    """The numbers of one table."""
    return stored()[f"{name}.{element}"]
