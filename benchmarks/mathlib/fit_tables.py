"""Write tables.json: `python -m benchmarks.mathlib.fit_tables`.

Logarithms: for each of 16 cells of the significand a number c near the inverse of its middle such
that -log c lies next to a number of few bits, for every base (Gal's accurate tables). Pieces: a
center such that the function there lies next to a number of the type.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import numpy.typing as npt
from tilecast.codegen.mathlib.piecewise import PIECES, Pieces
from tilecast.codegen.mathlib.tables import STORE

from .remez import DTYPES, Goal, fit, round_to

CELLS = 16
BASES = {"log": mp.e, "log2": mp.mpf(2), "log10": mp.mpf(10)}
EXPONENT_BITS = {"f32": 8, "f64": 11}
MANTISSA_BITS = {"f32": 24, "f64": 53}
CANDIDATES = 1 << 20
FUNCTIONS = {"tanh": mp.tanh, "erf": mp.erf}
Tables = dict[str, list[float]]


def significand_cell(index: int) -> tuple[float, float]:
    """The significands in [3/4, 3/2) whose first four bits are `index`."""
    low = 1 + index / CELLS
    high = low + 1 / CELLS
    return (low, high) if index < 8 else (low / 2, high / 2)


def inverses(base: Any, element: str) -> list[float]:
    """One c per cell."""
    unit = np.longdouble(2.0 ** (MANTISSA_BITS[element] - EXPONENT_BITS[element]))
    found: list[float] = []
    for index in range(CELLS):
        low, high = significand_cell(index)
        if index in (0, CELLS - 1):  # around 1 nothing may be lost: r = s - 1, log c = 0
            found.append(1.0)
            continue
        if index == CELLS - 2:  # below 1 results are smallest, and r should be small with them
            low = (low + 3 * high) / 4
        width = 0.003 if index < CELLS // 2 else 0.015  # the upper cells are half as wide
        if index == CELLS - 2:  # beside 1 log10 is smallest, and r has to be small with it
            width = 0.005
        spread = np.random.default_rng(index).uniform(-width, width, CANDIDATES)
        tried = (2 / (low + high) * (1 + spread)).astype(DTYPES[element])
        scaled = -np.log(tried.astype(np.longdouble)) * (
            unit / np.longdouble(mp.nstr(mp.log(base), 25))
        )
        found.append(float(tried[int(np.argmin(np.abs(scaled - np.rint(scaled))))]))
    return found


def log_tables(element: str) -> Tables:
    """Per base c and -log c by cell; log 2 and the slope 1 / log(base) in two parts each."""
    tables: Tables = {}
    unit = 2 ** (MANTISSA_BITS[element] - EXPONENT_BITS[element])
    for name, base in BASES.items():
        tables[f"{name}.inverse.{element}"] = inverses(base, element)
        exact = [-mp.log(mp.mpf(c)) / mp.log(base) for c in tables[f"{name}.inverse.{element}"]]
        rounded = [float(mp.nint(v * unit) / unit) for v in exact]
        lost = max(abs(v - r) for v, r in zip(exact, rounded, strict=True))
        print(f"{name}.{element}: tables lose {mp.nstr(lost, 3)}", file=sys.stderr)
        tables[f"{name}.{element}"] = rounded
        if name == "log2":
            low = [round_to(v - r, element) for v, r in zip(exact, rounded, strict=True)]
            tables[f"log2.low.{element}"] = low
        two = mp.log(2) / mp.log(base)
        two_high = float(mp.floor(two * unit) / unit)
        slope = 1 / mp.log(base)
        slope_high = round_to(slope, element)
        tables[f"{name}.constants.{element}"] = [
            two_high,
            round_to(two - two_high, element),
            slope_high,
            round_to(slope - slope_high, element),
        ]
    second = -1 / (2 * mp.log(2))
    high_part = round_to(second, element)
    tables[f"log2.second.{element}"] = [high_part, round_to(second - high_part, element)]
    return tables


def piece_center(function: Callable[[Any], Any], start: float, stop: float, element: str) -> float:
    """A number near the middle at which the function is nearly one of the type."""
    if start == 0.0:
        return 0.0
    middle, width = (start + stop) / 2, stop - start
    best, best_distance = middle, mp.inf
    for k in range(600):
        center = round_to(middle + width * 1e-3 * (k / 300 - 1), element)
        value = function(mp.mpf(center))
        distance = abs(value - round_to(value, element))
        if distance < best_distance:
            best, best_distance = center, distance
    return best


def piece_tables(name: str, pieces: Pieces, element: str) -> Tables:
    """Rows of coefficients by power, and the centers."""
    function = FUNCTIONS[name]
    rows: npt.NDArray[np.float64] = np.zeros((pieces.degree + 1, pieces.count))
    centers, worst = np.zeros(pieces.count), 0.0
    for piece in range(pieces.count):
        index = (pieces.first + piece) % pieces.count
        start, stop = pieces.bounds(piece)
        center = piece_center(function, start, stop, element)
        centers[index] = center
        base = mp.mpf(round_to(function(mp.mpf(center)), element))

        def slope(
            t: Any, center: float = center, base: Any = base, first: bool = start == 0.0
        ) -> Any:
            with mp.workdps(60):
                known = t if first else base
                return (function(center + t) - known) / t

        def weight(t: Any, center: float = center) -> Any:
            return t / function(center + t)

        goal = Goal(slope, weight, start - center, stop - center)
        coefficients, error = fit(goal, pieces.degree - 1, element)
        rows[0, index], rows[1:, index] = float(base), coefficients
        print(f"  [{start:.4g}, {stop:.4g}]: {error * 2**24:.3g}", file=sys.stderr)
        worst = max(worst, error)
    print(f"{name}.{pieces.count}.{element}: pieces lose {worst:.3g}", file=sys.stderr)
    stem = f"{name}.{pieces.count}"
    tables = {f"{stem}.{power}.{element}": list(row) for power, row in enumerate(rows)}
    return tables | {f"{stem}.center.{element}": list(centers)}


def main() -> None:
    """All tables."""
    mp.mp.dps = 40
    tables: Tables = {}
    for element in ("f32", "f64"):
        tables |= log_tables(element)
    for name, counts in PIECES.items():
        for pieces in counts.values():
            tables |= piece_tables(name, pieces, "f32")
    STORE.write_text(json.dumps(dict(sorted(tables.items())), indent=1) + "\n")


if __name__ == "__main__":
    main()
