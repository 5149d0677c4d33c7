"""Counts that say how many registers a kernel needs, from the words of its loops (`LoopText`).

Lines between two heads of loops are a segment: what it loads, computes, stores and carries, and how
many values live in it. The segments with most live values, with most arithmetic, and with most
carried values are described one by one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from ..data.objects import ObjectSample
from ..features.nests import Array

LINE = re.compile(r"^(\S+?):(\S*) v(\d+) i(\d+)(.*)$")
LOOPS = ("scf.for", "scf.parallel")
BOUNDS = 3  # operands of a loop before those that it carries
SHARES = (50, 75, 90, 98)
LIVE = (8, 12, 16, 20, 24, 28, 30, 31, 32, 33, 34, 36, 40)
OPS = ("vector.load", "vector.fma", "vector.store", "arith.addf", "arith.mulf", "memref.load")
SHOWN = 2  # segments by each order


@dataclass
class Segment:
    """What is between two heads of loops; `live` are the most values in vector registers."""

    lines: int = 0
    live: int = 0
    carried: int = 0
    products: int = 0
    arithmetic: int = 0
    functions: int = 0
    loads: int = 0
    elements: int = 0
    spread: int = 0
    stores: int = 0
    constants: int = 0
    ends: int = 0

    def count(self, op: str, is_float: bool, live: int, rest: str) -> None:
        """One line."""
        self.lines += 1
        self.live = max(self.live, live)
        self.products += op in ("vector.fma", "math.fma")
        self.arithmetic += op.startswith("arith.") and is_float
        self.functions += op.startswith("math.") and op != "math.fma"
        self.loads += op in ("vector.load", "vector.maskedload", "vector.gather")
        self.elements += op == "memref.load"
        self.spread += "broadcast" in op
        self.stores += "store" in op
        self.constants += rest.count("<cf")
        self.ends += rest.count("!")


ORDERS: tuple[Callable[[Segment], tuple[int, int]], ...] = (
    lambda s: (s.live, s.lines),
    lambda s: (s.products + s.arithmetic, s.live),
    lambda s: (s.carried, s.products),
)


def object_features(samples: Sequence[ObjectSample]) -> Array:
    """A row per kernel."""
    return np.array([features_of(s) for s in samples])


def features_of(sample: ObjectSample) -> list[float]:
    """Live values over lines, at some kinds of ops, and the segments that need most."""
    segments, live = [Segment()], []
    at_op = dict.fromkeys(OPS, 0)
    functions = set()
    for line in sample.lines:
        found = LINE.match(line)
        if found is None:
            continue
        op, type, rest = found[1], found[2], found[5]
        live.append(int(found[3]))
        if op in at_op:
            at_op[op] = max(at_op[op], live[-1])
        if op.startswith("math."):
            functions.add(op)
        if op in LOOPS:
            carried = max(0, rest.count("<") - BOUNDS) if op == LOOPS[0] else 0
            segments.append(Segment(carried=carried))
        segments[-1].count(op, "x" in type or type.startswith("f"), live[-1], rest)
    values = np.array(live or [0])
    row = [float(np.percentile(values, share)) for share in SHARES]
    row += [float(np.log1p((values >= n).sum())) for n in LIVE]
    row += [float(n) for n in at_op.values()]
    row += [float(len(segments)), float(len(functions)), float(sum(s.carried for s in segments))]
    row += [float(sum(s.constants for s in segments))]
    for order in ORDERS:
        chosen = sorted(segments, key=order, reverse=True)[:SHOWN]
        chosen += [Segment()] * (SHOWN - len(chosen))
        row += [float(n) for s in chosen for n in asdict(s).values()]
    return row
