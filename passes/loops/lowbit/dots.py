"""How products of codes and int8 activations are added up, exactly, by what a machine has.

VNNI adds four products to an i32 lane: one instruction per quad. Without it two products are a sum
of 16 bits, of which as many are added as are sure to fit, before both halves of a lane join an i32:
2 + 1/n instructions per quad, n = 8 for codes of 4 bits. Codes of 8 bits are two of 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import i32
from xdsl.ir import SSAValue

from ....costmodel.hardware import Machine
from ....dialects.quant.ops import PAIR_BITS, AddPairsOp, DotOp, PairDotOp
from ..opaque_rules.loop_builder import LoopBuilder
from .lanes import Lanes

Values = list[SSAValue]
Sums = Sequence[SSAValue | None]  # None: nothing yet
LARGEST_VALUE = 128  # magnitude of a signed byte
LARGEST_SUM = 2**15 - 1


def has_pairs(machine: Machine) -> bool:
    """Whether sums of pairs are what the machine has for products of bytes."""
    return machine.isa in ("avx2", "avx512") and "avx512_vnni" not in machine.features


@dataclass(frozen=True)
class Dots:
    """Sums of products with codes of `bits`, one i32 lane per output."""

    bits: int
    in_pairs: bool

    @property
    def limbs(self) -> tuple[tuple[int, int], ...]:
        """(position, width) of the parts of a code that are multiplied by themselves."""
        if not self.in_pairs or self.bits <= PAIR_BITS:
            return ((0, self.bits),)
        low = self.bits // 2
        return ((0, low), (low, self.bits - low))

    @property
    def quads(self) -> int | None:
        """How many quads a sum of 16 bits holds; None where sums have 32 bits."""
        if not self.in_pairs:
            return None
        widest = max(width for _, width in self.limbs)
        return LARGEST_SUM // (2 * LARGEST_VALUE * ((1 << widest) - 1))

    @property
    def instructions(self) -> float:
        """Per quad of a vector: multiplications, additions, and joining pairs."""
        if self.quads is None:
            return 1.0
        return len(self.limbs) * (2 + 1 / min(self.quads, 8))

    def holds(self, quads: int) -> bool:
        """Whether a sum is exact over so many quads."""
        return self.quads is None or quads <= self.quads

    def zeros(self, b: LoopBuilder, lanes: Lanes, count: int) -> Values:
        """`count` sums of nothing, as values that a loop carries."""
        return [lanes.constant(b, 0, i32)] * (count * len(self.limbs))

    def nothing(self, count: int) -> Sums:
        """`count` sums of 16 bits before their first product, which needs no addition."""
        assert self.in_pairs
        return [None] * (count * len(self.limbs))

    def split(self, b: LoopBuilder, lanes: Lanes, code: SSAValue) -> Values:
        """The limbs of the codes of a quad."""
        if len(self.limbs) == 1:
            return [code]
        return [
            lanes.both(b, lanes.shift_right(b, code, position), ((1 << width) - 1) * 0x01010101)
            for position, width in self.limbs
        ]

    def add(
        self,
        b: LoopBuilder,
        sums: list[SSAValue | None],
        at: int,
        code: Values,
        values: SSAValue,
    ) -> None:
        """sums[at] += the products of a quad."""
        for limb, (_, width) in enumerate(self.limbs):
            place = at * len(self.limbs) + limb
            before = sums[place]
            if self.in_pairs:
                sums[place] = b.insert(PairDotOp(code[limb], values, before, width))
            else:
                assert before is not None
                sums[place] = b.insert(DotOp(before, code[limb], values, width))

    def totals(self, b: LoopBuilder, before: Sums, sums: Values) -> Values:
        """i32: what the sums are worth, plus `before`."""
        if not self.in_pairs:
            return sums
        found = []
        for at, total in enumerate(before):
            for limb, (position, _) in enumerate(self.limbs):
                sum = sums[at * len(self.limbs) + limb]
                total = b.insert(AddPairsOp(sum, total, 1 << position))
            assert total is not None
            found.append(total)
        return found
