"""A kernel's loops as words, and how many of its values are live at once.

before: a function of the loops level (scf, vector, memref, arith, tile)
after:  `LoopText`: one line of words per op, in order, and counts; what predicts its object code

    vector.fma:16xf32 v5 i2 uses1 <1 <c0 <3!

the op with its type, values that are live there (v in vector registers, i in others), what is known
of it; each operand by how many ops ago it was made (powers of two), ! where this is its last use;
constants by their size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from math import gcd, log2, prod
from typing import Any

from xdsl.dialects import arith, scf
from xdsl.dialects.builtin import (
    AnyFloat,
    FixedBitwidthType,
    IntegerAttr,
    MemRefType,
    VectorType,
)
from xdsl.ir import Attribute, Block, Operation, SSAValue

from ...dialects.constants import integer_of
from ...dialects.tile.ops import ProgramOp
from ...dialects.tile.types import GlobalType, RegisterType, SharedType, TileType, bits_of

REGISTER_BYTES = 64
WORD_BITS = 32  # of a register of a GPU's thread
SILENT = ("arith.constant", "scf.yield", "scf.reduce", "func.return", "tile.yield")
MOST_LIVE = 64
FARTHEST = 12  # powers of two


@dataclass(frozen=True)
class LoopText:
    """Words of each op; `live_vectors` and `live_integers` are the most values that are live at
    once in registers for floats and vectors, and in others."""

    lines: tuple[tuple[str, ...], ...]
    live_vectors: int
    live_integers: int


def loop_text(kernel: Operation) -> LoopText:
    """The words of a kernel: an op with one block, such as func.func or tile.program."""
    return _Reader(kernel).text()


class _Reader:
    """Positions of ops and of last uses, then words."""

    def __init__(self, kernel: Operation) -> None:
        self.kernel = kernel
        self.ops: list[Operation] = []
        self.made: dict[SSAValue, int] = {}
        self.ends: dict[Operation, int] = {}
        self.last: dict[SSAValue, int] = {}
        self._visit(kernel.regions[0].block)
        for op in self.ops:
            for value in op.operands:
                if value in self.made:
                    end = self._end_of_use(op, value)
                    self.last[value] = max(self.last.get(value, -1), end)

    def _visit(self, block: Block) -> None:
        for op in block.ops:
            at = len(self.ops)
            self.ops.append(op)
            for region in op.regions:
                for inner in region.blocks:
                    self.made |= dict.fromkeys(inner.args, at)
                    self._visit(inner)
            self.ends[op] = len(self.ops) - 1
            # What a loop gives is there when it has ended.
            self.made |= dict.fromkeys(op.results, self.ends[op])

    def _end_of_use(self, op: Operation, value: SSAValue) -> int:
        """The position up to which this use keeps `value`: the end of loops around it alone."""
        owner = value.owner
        home = owner if isinstance(owner, Block) else owner.parent_block()
        end, at = self.ends[op], op
        while at.parent_block() is not home:
            parent = at.parent_op()
            if parent is None or parent not in self.ends:
                break
            at = parent
            end = self.ends[at]
        return end

    def text(self) -> LoopText:
        """Words of all ops and the most live values."""
        vectors, integers = [0] * (len(self.ops) + 1), [0] * (len(self.ops) + 1)
        for value, end in self.last.items():
            is_constant = isinstance(value.owner, arith.ConstantOp)
            if isinstance(value.type, MemRefType) or is_constant:
                continue
            size = registers_of(value.type)
            changes = vectors if in_vectors(value.type) else integers
            changes[self.made[value]] += size
            changes[end] -= size
        live = list(zip(accumulate(vectors), accumulate(integers), strict=True))
        lines = [
            (head, f"v{min(MOST_LIVE, live[at][0])}", f"i{min(MOST_LIVE, live[at][1])}", *rest)
            for at, op in enumerate(self.ops)
            for head, *rest in [list(self._words(at, op))]
            if op.name not in SILENT
        ]
        if isinstance(self.kernel, ProgramOp):
            lines.insert(0, (self.kernel.name, f"threads{self.kernel.threads.data}"))
        return LoopText(tuple(lines), *map(max, zip(*live, strict=True)))

    def _words(self, at: int, op: Operation) -> Iterator[str]:
        yield f"{op.name}:{type_word(op)}"
        if op.results:
            yield f"uses{min(3, sum(len(list(r.uses)) for r in op.results))}"
        if isinstance(op, scf.ForOp):
            yield f"trips{size_word(trip_count(op))}"
        yield from shape_words(op)
        for value in op.operands:
            if value not in self.made:
                yield "<argument"
            elif isinstance(value.owner, arith.ConstantOp):
                yield f"<c{constant_word(value.owner)}"
            else:
                ago = max(0, at - self.made[value])
                is_last = "!" if self.last.get(value) == self.ends[op] else ""
                yield f"<{min(FARTHEST, round(log2(1 + ago)))}{is_last}"


def in_vectors(type: Attribute) -> bool:
    """Whether values are in the registers for floats and vectors."""
    return isinstance(type, VectorType | AnyFloat | RegisterType)


def registers_of(type: Attribute) -> int:
    """Registers that one value needs."""
    if isinstance(type, VectorType):
        element: Any = type.element_type
        bits = element.bitwidth if isinstance(element, FixedBitwidthType) else 64
        return max(1, -(-prod(type.get_shape()) * bits // (8 * REGISTER_BYTES)))
    if isinstance(type, RegisterType):
        return max(1, -(-type.layout.locals * bits_of(type.element) // WORD_BITS))
    return 1


def type_word(op: Operation) -> str:
    """The type of the first result, or of the last operand where there is none, without layouts."""
    values = list(op.results) or list(op.operands)[:1]
    if not values:
        return ""
    type = values[0].type
    if isinstance(type, VectorType):
        return "x".join([*map(str, type.get_shape()), str(type.element_type)])
    if isinstance(type, MemRefType):
        return f"memref{type.element_type}"
    if isinstance(type, RegisterType):
        return f"{size_word(registers_of(type))}x{type.element}"
    if isinstance(type, TileType):
        return f"{type.name}{type.element}"
    return "".join(str(type).split())[:40]


def shape_words(op: Operation) -> Iterator[str]:
    """The extents of an array that a program views or has, which say what is aligned and guarded;
    the lanes of a vector access and the last extent of what it is an access to."""
    for value in [*op.results, *op.operands]:
        type = value.type
        if isinstance(type, SharedType):
            yield "shared" + "x".join(map(str, type.extents))
            return
        if isinstance(type, GlobalType) and op.name == "tile.view_global":
            yield from (f"extent{extent_word(n)}" for n in type.extents[-3:])
            return
        if isinstance(type, MemRefType) and type.get_shape():
            yield f"extent{extent_word(type.get_shape()[-1])}"
            return


def extent_word(extent: int) -> str:
    """Magnitude of an extent, and what of 32 divides it."""
    return f"{size_word(extent)}by{gcd(extent, 32)}"


def constant_word(op: arith.ConstantOp) -> str:
    """The size of a whole number, with what of 32 divides it; `f` for others."""
    if isinstance(op.value, IntegerAttr):
        number = abs(op.value.value.data)
        return extent_word(number) if number > 16 else str(number)
    return "f"


def trip_count(op: scf.ForOp) -> int:
    """Iterations of a loop with constant bounds, else 0."""
    lower, upper, step = (integer_of(value) for value in (op.lb, op.ub, op.step))
    if lower is None or upper is None or step is None:
        return 0
    return max(0, -(-(upper - lower) // max(1, step)))


def size_word(value: int) -> str:
    """Small numbers as they are, large ones by magnitude."""
    return str(value) if value <= 16 else f"~{round(2 * log2(value))}"
