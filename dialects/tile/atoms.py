"""Tensor core instructions: the tiles that one warp multiplies, and who holds what of them.

Last of all there is the product of one thread, which every layout divides by.

`lhs` is [M, K], `rhs` [N, K], `accumulator` [M, N], as `tile.dot` has them.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.dialects.builtin import (
    BFloat16Type,
    Float8E4M3FNType,
    Float8E5M2Type,
    Float16Type,
    Float32Type,
    IntegerType,
)
from xdsl.ir import Attribute

from .register_layout import RegisterLayout, local, spatial


@dataclass(frozen=True)
class Atom:
    """One mma instruction; `name` is that of the device function that issues it."""

    name: str
    element: Attribute
    accumulator_element: Attribute
    k: int
    rhs_element: Attribute | None = None  # where it is not `element`

    def fits(self, lhs: Attribute, rhs: Attribute, accumulator: Attribute) -> bool:
        """Whether these are the elements of its operands."""
        own = self.element, self.rhs_element or self.element, self.accumulator_element
        return own == (lhs, rhs, accumulator)

    @property
    def lhs(self) -> RegisterLayout:
        """16 x k: registers of 32 bits along K, in two halves; rows 8 apart in between."""
        per = 4 // self._bytes
        halves = self.k // (4 * per)
        outer = local(2, 1) if halves == 1 else RegisterLayout((2, 2), (2, 2), (), (1, 0))
        return outer * spatial(8, 4) * local(1, per)

    @property
    def rhs(self) -> RegisterLayout:
        """8 x k."""
        per = 4 // self._bytes
        return local(1, self.k // (4 * per)) * spatial(8, 4) * local(1, per)

    @property
    def accumulator(self) -> RegisterLayout:
        """16 x 8."""
        return local(2, 1).spatial(8, 4).local(1, 2)

    @property
    def _bytes(self) -> int:
        return {F16: 2, BF16: 2, F32: 4}.get(self.element, 1)


@dataclass(frozen=True)
class ScalarAtom(Atom):
    """One multiplication and addition of one thread."""

    @property
    def lhs(self) -> RegisterLayout:
        return local(1, 1)

    @property
    def rhs(self) -> RegisterLayout:
        return local(1, 1)

    @property
    def accumulator(self) -> RegisterLayout:
        return local(1, 1)


F16, BF16, F32 = Float16Type(), BFloat16Type(), Float32Type()
I8, I32 = IntegerType(8), IntegerType(32)
E4M3, E5M2 = Float8E4M3FNType(), Float8E5M2Type()
FP8 = (E4M3, E5M2)
ATOMS = (
    Atom("tc_mma_m16n8k16_f16", F16, F32, 16),
    Atom("tc_mma_m16n8k8_f16", F16, F32, 8),
    Atom("tc_mma_m16n8k16_bf16", BF16, F32, 16),
    Atom("tc_mma_m16n8k8_bf16", BF16, F32, 8),
    Atom("tc_mma_m16n8k8_tf32", F32, F32, 8),
    Atom("tc_mma_m16n8k32_s8", I8, I32, 32),
    Atom("tc_mma_m16n8k32_e4m3", E4M3, F32, 32),  # sm_89 and later
    Atom("tc_mma_m16n8k32_e4m3_e5m2", E4M3, F32, 32, E5M2),
    Atom("tc_mma_m16n8k32_e5m2", E5M2, F32, 32),
    ScalarAtom("tc_fma", F32, F32, 1),
)


def atom_for(element: Attribute) -> Atom:
    """The instruction that does most at once for operands of `element`."""
    return next(atom for atom in ATOMS if atom.element == element)
