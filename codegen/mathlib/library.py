"""The elementary functions by name and element type, built as IR on request."""

from __future__ import annotations

from collections.abc import Callable

from xdsl.dialects.func import FuncOp

Builder = Callable[[str, int], FuncOp]
"""(element, lanes) to a function on that type."""

FUNCTIONS: dict[tuple[str, str], Builder] = {}


def build_function(name: str, element: str, lanes: int) -> FuncOp | None:
    """`func.func @tc_exp_f32_v16` and alike; None where mathlib has no such function."""
    builder = FUNCTIONS.get((name, element))
    return None if builder is None else builder(element, lanes)
