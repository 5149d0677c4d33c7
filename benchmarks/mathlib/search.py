"""Search the cheapest program inside of a function: `python -m benchmarks.mathlib.search exp exp`.

In the spirit of AutoNumerics-Zero: a population of programs, seeded by Remez polynomials of several
degrees, changes at random. The error is that of the whole f32 function on a sample (the proof over
all inputs comes after), the cost is its measured time in turns with the stored program. Among
programs within the bound the cheaper one wins, and the more accurate one where times are equal.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import random
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tilecast.codegen.mathlib.programs import STORE, Program, find_program, horner

from .evolve import changed, coefficients_of, crossed, paired
from .goals import goals
from .remez import fit
from .speed import RANGES, clock, cycles_per_tick
from .unit import Variant, build_loops

SAMPLE = 1 << 16
POPULATION, CHILDREN = 12, 24
TIMED = 2048
# Times within this share of each other are equal.
RESOLUTION = 0.02
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Candidate:
    """A program with the greatest error seen (units in the last place) and cycles per element."""

    program: Program
    error: float
    cycles: float

    def rank(self, bound: float) -> tuple[bool, float, float]:
        """Smaller is better."""
        inside = self.error <= bound
        step = round(np.log(self.cycles) / RESOLUTION) if inside else 0.0
        return (not inside, step, self.error)


@dataclass
class Slot:
    """Where the program goes, and what decides over it."""

    function: str
    program: str
    accuracy: int
    seed: int = 0
    sample: Array = field(init=False)
    exact: Array = field(init=False)

    def __post_init__(self) -> None:
        generator = np.random.default_rng(self.seed)
        low, high = RANGES.get(self.function, (-8.0, 8.0))
        ordinary = generator.uniform(low, high, SAMPLE).astype(np.float32)
        bits = generator.integers(0, 1 << 32, SAMPLE, dtype=np.uint32).view(np.float32)
        self.sample = np.concatenate([ordinary, bits[np.isfinite(bits)]])
        self.sample = self.sample[: len(self.sample) // 16 * 16].copy()
        wide = torch.from_numpy(self.sample.astype(np.float64))
        self.exact = getattr(torch, self.function)(wide).numpy()

    @property
    def key(self) -> str:
        """As in programs.json."""
        return f"{self.program}.f32.{self.accuracy}"

    def evaluate(self, programs: list[Program]) -> list[Candidate]:
        """Build all in one unit; errors on the sample, shortest times in turns."""
        variants = {
            f"candidate_{k}": Variant(self.function, "f32", self.accuracy, "avx512", {self.key: p})  # type: ignore[arg-type]
            for k, p in enumerate(programs)
        }
        library = build_loops("avx512", variants)
        errors = [self._error(getattr(library, symbol)) for symbol in variants]
        ticks = np.full(len(programs), np.inf)
        for _ in range(25):
            for k, symbol in enumerate(variants):
                ticks[k] = min(ticks[k], self._ticks(getattr(library, symbol)))
        cycles = ticks * cycles_per_tick()
        return [Candidate(*row) for row in zip(programs, errors, map(float, cycles), strict=True)]

    def _error(self, loop: Any) -> float:
        out = np.empty_like(self.sample)
        pointers = [ctypes.c_void_p(a.ctypes.data) for a in (self.sample, out)]
        loop(*pointers, ctypes.c_int64(len(out)))
        with np.errstate(all="ignore"):
            rounded = self.exact.astype(np.float32)
            floor = np.maximum(np.abs(rounded), np.finfo(np.float32).tiny)
            error = np.abs(out - self.exact) / np.spacing(floor).astype(np.float64)
        error = np.where(np.isfinite(rounded), error, np.where(out == rounded, 0.0, np.inf))
        error = np.where(np.isnan(rounded), np.where(np.isnan(out), 0.0, np.inf), error)
        return float(np.where(np.isnan(error), np.inf, error).max())

    def _ticks(self, loop: Any) -> float:
        out = np.empty(TIMED, np.float32)
        pointers = [ctypes.c_void_p(a.ctypes.data) for a in (self.sample, self.sample, out)]
        address = ctypes.cast(loop, ctypes.c_void_p)
        return float(
            clock().loop_1(address, ctypes.c_int64(4), *pointers, ctypes.c_int64(TIMED))
        ) / (4 * TIMED)


def seeds(slot: Slot) -> list[Program]:
    """The stored program, and Remez polynomials around its degree in two orders of evaluation."""
    stored = find_program(slot.program, "f32", slot.accuracy)
    found = [stored]
    coefficients = coefficients_of(stored)
    degree = len(coefficients or stored.steps) - 1
    for tried in range(max(1, degree - 1), degree + 2):
        numbers, _ = fit(goals()[slot.program], tried, "f32")
        found += [horner(numbers), paired(numbers)]
    return found


def search(slot: Slot, bound: float, seconds: float) -> tuple[Candidate, Candidate, int]:
    """(the stored program, the best found, how many were tried)."""
    chance = random.Random(slot.seed)
    deadline = time.monotonic() + seconds
    starting = seeds(slot)
    population = slot.evaluate(starting)
    stored, tried = population[0], len(population)
    known = set(starting)
    while time.monotonic() < deadline:
        population = sorted(population, key=lambda c: c.rank(bound))[:POPULATION]
        children: list[Program] = []
        while len(children) < CHILDREN:
            parent = min(chance.sample(population, 2), key=lambda c: c.rank(bound))
            other = chance.choice(population)
            child = parent.program
            if chance.random() < 0.3:
                child = crossed(child, other.program, chance) or child
            child = changed(child, chance) or child
            if child not in known:
                known.add(child)
                children.append(child)
        # The best so far run along, so that times of one round decide.
        best = [c.program for c in population[:4]]
        evaluated = slot.evaluate([*best, *children])
        population = [*population[4:], *evaluated]
        tried += len(children)
    final = slot.evaluate([stored.program, *(c.program for c in population[:8])])
    return final[0], min(final, key=lambda c: c.rank(bound)), tried


def main() -> None:
    """Search one program; store it if it is better than the stored one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("function", help="exp, log2, ...: whose error and time count")
    parser.add_argument("program", help="the program inside of it")
    parser.add_argument("--accuracy", type=int, choices=(1, 4), default=1)
    parser.add_argument("--bound", type=float, help="in units in the last place, on the sample")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    slot = Slot(arguments.function, arguments.program, arguments.accuracy, arguments.seed)
    # What the sample does not show is left as a margin.
    bound = arguments.bound or 0.95 * arguments.accuracy
    stored, best, tried = search(slot, bound, arguments.seconds)
    for title, candidate in (("stored", stored), ("best", best)):
        print(
            f"{title}: {len(candidate.program.steps)} steps, {candidate.error:.3f} ulp, "
            f"{candidate.cycles:.3f} cycles per element",
            file=sys.stderr,
        )
    if best.rank(bound) < stored.rank(bound):
        rows = json.loads(STORE.read_text())
        rows[slot.key] = {
            "steps": list(best.program.steps),
            "error_ulp": round(best.error, 4),
            "origin": f"evolution inside of {slot.function}: {tried} programs, seed {slot.seed}",
        }
        STORE.write_text(json.dumps(dict(sorted(rows.items())), indent=1) + "\n")
    print(json.dumps({"tried": tried, "steps": list(best.program.steps)}))


if __name__ == "__main__":
    main()
