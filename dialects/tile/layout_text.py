"""Layouts as text: products of primitives, `local(2,1).spatial(8,4).local(1,2)`, and back.

The few layouts that are no product of primitives are written as their modes.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from .register_layout import (
    LayoutError,
    RegisterLayout,
    column_local,
    column_spatial,
    local,
    replicate,
    spatial,
)

PRIMITIVES: dict[str, Callable[..., RegisterLayout]] = {
    "local": local,
    "spatial": spatial,
    "column_local": column_local,
    "column_spatial": column_spatial,
}
FACTOR = re.compile(r"(\w+)\(([\d,\s]*)\)")
MODES = re.compile(r"modes\(([-\d,\s]*);([-\d,\s]*);([-\d,\s]*);([-\d,\s]*)\)")


def parse_layout(text: str) -> RegisterLayout:
    """The layout that `text` means; LayoutError saying which part is wrong."""
    text = text.strip()
    if match := MODES.fullmatch(text):
        return RegisterLayout(*(_numbers(part) for part in match.groups()))
    factors: list[tuple[str, tuple[int, ...]]] = []
    at = 0
    while at < len(text):
        match = FACTOR.match(text, at)
        if match is None or match[1] not in (*PRIMITIVES, "replicate"):
            known = ", ".join([*PRIMITIVES, "replicate"])
            raise LayoutError(f"layout {text!r}: expected one of {known} at {text[at:]!r}")
        factors.append((match[1], _numbers(match[2])))
        at = match.end()
        if at < len(text) and text[at] != ".":
            raise LayoutError(f"layout {text!r}: expected '.' at {text[at:]!r}")
        at += 1
    ranks = {len(numbers) for name, numbers in factors if name != "replicate"}
    if len(ranks) > 1 or not factors:
        raise LayoutError(f"layout {text!r}: expected factors of one rank, found {sorted(ranks)}")
    rank = ranks.pop() if ranks else 1
    result = local(*[1] * rank)
    for name, numbers in factors:
        factor = replicate(numbers[0], rank) if name == "replicate" else PRIMITIVES[name](*numbers)
        result = result * factor
    return result.canonical


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(",") if part.strip())


def print_layout(layout: RegisterLayout) -> str:
    """Text that `parse_layout` reads as the same function."""
    factors = _factors(layout.canonical)
    if factors is None:
        return layout.canonical.raw
    if not any("local" in factor or "spatial" in factor for factor in factors):
        factors.append(f"local({','.join(['1'] * layout.rank)})")  # says the rank
    return ".".join(factors)


def _factors(layout: RegisterLayout) -> list[str] | None:
    """Modes taken from the fronts of the lists as long as they are at the front of their dim."""
    spatial_modes, local_modes = [*layout.spatial_modes], [*layout.local_modes]
    fronts = [list(modes) for modes in layout.dim_modes]
    runs: list[tuple[str, list[tuple[int, int]]]] = []
    while spatial_modes or local_modes:
        if spatial_modes and spatial_modes[0] < 0:
            runs.append(("replicate", [(0, -spatial_modes.pop(0))]))
            continue
        for kind, modes in (("spatial", spatial_modes), ("local", local_modes)):
            if modes and any(front[:1] == modes[:1] for front in fronts):
                mode = modes.pop(0)
                dim = layout.dim_of(mode)
                fronts[dim].pop(0)
                step = (dim, layout.mode_shape[mode])
                if runs and runs[-1][0] == kind and _is_monotone([*runs[-1][1], step]):
                    runs[-1][1].append(step)
                else:
                    runs.append((kind, [step]))
                break
        else:
            return None
    return [_run_text(kind, steps, layout.rank) for kind, steps in runs]


def _is_monotone(steps: list[tuple[int, int]]) -> bool:
    dims = [dim for dim, _ in steps]
    return len(set(dims)) == len(dims) and dims in (sorted(dims), sorted(dims, reverse=True))


def _run_text(kind: str, steps: list[tuple[int, int]], rank: int) -> str:
    if kind == "replicate":
        return f"replicate({steps[0][1]})"
    extents = [1] * rank
    for dim, size in steps:
        extents[dim] = size
    prefix = "column_" if steps[0][0] > steps[-1][0] else ""
    return f"{prefix}{kind}({','.join(map(str, extents))})"
