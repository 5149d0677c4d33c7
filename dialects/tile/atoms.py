"""Tensor core instructions: the tiles that one warp multiplies, and who holds what of them.

Last of all there is the product of one thread, which every layout divides by.

`lhs` is [M, K], `rhs` [N, K], `accumulator` [M, N], as `tile.dot` has them.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.dialects.builtin import BFloat16Type, Float16Type, Float32Type, IntegerType
from xdsl.ir import Attribute

from .register_layout import RegisterLayout, local, spatial


@dataclass(frozen=True)
class Atom:
    """One mma instruction; `name` is that of the device function that issues it."""

    name: str
    element: Attribute
    accumulator_element: Attribute
    k: int

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
        return {"f16": 2, "bf16": 2, "f32": 4, "i8": 1}[str(self.element)]


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
ATOMS = (
    Atom("tc_mma_m16n8k16_f16", F16, F32, 16),
    Atom("tc_mma_m16n8k8_f16", F16, F32, 8),
    Atom("tc_mma_m16n8k16_bf16", BF16, F32, 16),
    Atom("tc_mma_m16n8k8_bf16", BF16, F32, 8),
    Atom("tc_mma_m16n8k8_tf32", F32, F32, 8),
    Atom("tc_mma_m16n8k32_s8", I8, I32, 32),
    ScalarAtom("tc_fma", F32, F32, 1),
)


def atom_for(element: Attribute) -> Atom:
    """The instruction that does most at once for operands of `element`."""
    return next(atom for atom in ATOMS if atom.element == element)
