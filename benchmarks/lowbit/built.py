"""A cell that was built: its library and what its arguments are, as a JSON file beside it.

in:  the description that `ours.py` left in the folder
out: a call that reads another copy of the weight each time
"""

from __future__ import annotations

import ctypes
import itertools
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tilecast.dialects.quant.scale_types import SCALE_TYPES

from .cells import Cell
from .rotation import COLD_BYTES, LINE, Array, aligned, copies_needed

NAME = "product"
WORDS, NUMBERS, DIGITS, RESULT = "words", "numbers", "digits", "result"
Call = Callable[[], object]


@dataclass(frozen=True)
class Argument:
    """An array of the kernel: its type, what it holds, and whether it belongs to the weight.

    `holds` is packed codes (any bits), ordinary numbers, zero points ("digits"), results and
    scratch, or the name of a scale type.
    """

    shape: list[int]
    dtype: str
    holds: str
    is_weight: bool

    @property
    def bytes(self) -> int:
        """In memory, up to a whole cache line."""
        size = int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize
        return -(-size // LINE) * LINE


@dataclass(frozen=True)
class BuiltCell:
    """The library of one cell, how far it is off (1 is what is allowed), and its arguments."""

    library: str
    margin: float
    arguments: list[Argument]

    @staticmethod
    def path(cell: Cell, folder: Path, threads: int) -> Path:
        """Where the description of a cell is."""
        name = f"{cell.name} {threads}".replace(":", "_").replace(" ", "-")
        return folder / f"{name}.json"

    @staticmethod
    def read(cell: Cell, folder: Path, threads: int) -> BuiltCell:
        """The cell as it was built last."""
        path = BuiltCell.path(cell, folder, threads)
        if not path.exists():
            raise FileNotFoundError("the cell has not been built (run with --build-only first)")
        found = json.loads(path.read_text())
        found["arguments"] = [Argument(**argument) for argument in found["arguments"]]
        return BuiltCell(**found)

    def write(self, cell: Cell, folder: Path, threads: int) -> None:
        """Leave the description."""
        BuiltCell.path(cell, folder, threads).write_text(json.dumps(asdict(self)) + "\n")

    def rotating(self, cell: Cell, folder: Path, pools: Pools) -> Call:
        """A call that reads another copy of the weight each time."""
        function = getattr(ctypes.CDLL(str(folder / self.library)), NAME)
        count = copies_needed(cell.weight_bytes)
        shared = [None if a.is_weight else pools.own(a) for a in self.arguments]
        calls = []
        for copy in range(count):
            arrays = [
                pools.slice(argument, copy, count) if own is None else own
                for argument, own in zip(self.arguments, shared, strict=True)
            ]
            calls.append(call_of(function, arrays))
        turns = itertools.cycle(calls)
        return lambda: next(turns)()


def call_of(function: Any, arrays: list[Array]) -> Call:
    """The C function on these arrays, which the call keeps alive."""
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in arrays]
    return lambda: (function(*pointers), arrays)


@dataclass
class Pools:
    """Random contents that the copies of all weights are cut out of, by what they hold."""

    arrays: dict[str, Array] = field(default_factory=dict)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))

    def slice(self, argument: Argument, copy: int, count: int) -> Array:
        """The copy of an argument: all `count` of them lie one after the other."""
        kind = f"{argument.holds} {argument.dtype}"
        needed = count * argument.bytes
        if kind not in self.arrays or self.arrays[kind].nbytes < needed:
            size = max(needed, COLD_BYTES if argument.holds == WORDS else needed)
            self.arrays[kind] = self.random(argument, size)
        start = copy * argument.bytes
        return self.arrays[kind][start : start + argument.bytes]

    def own(self, argument: Argument) -> Array:
        """Activations, results and scratch."""
        return self.random(argument, argument.bytes)

    def random(self, argument: Argument, size: int) -> Array:
        """`size` bytes of what the argument holds."""
        length = size // np.dtype(argument.dtype).itemsize
        if argument.holds in (WORDS, RESULT):
            values: Array = np.frombuffer(self.rng.bytes(size), np.uint8)
        elif argument.holds == DIGITS:
            values = self.rng.integers(0, 2, size, np.uint8)
        else:
            values = self.rng.uniform(0.1, 1.0, length).astype(np.float32)
            if argument.holds != NUMBERS:
                values = SCALE_TYPES[argument.holds].encode(values)
        return aligned(values.view(np.uint8))
