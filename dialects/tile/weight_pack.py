"""`tile.weight_pack`: how a stored weight becomes what threads read, part by part."""

from __future__ import annotations

from xdsl.dialects.builtin import IntAttr, StringAttr
from xdsl.ir import Attribute, ParametrizedAttribute
from xdsl.irdl import irdl_attr_definition
from xdsl.utils.exceptions import VerifyException

PARTS = ("codes", "scales", "zeros")


@irdl_attr_definition
class WeightPackAttr(ParametrizedAttribute):
    """`part` of a [rows, columns] weight of `format` as tiles of the program with these repeats.

    `warps` lie along N; each has `along_n` and `along_k` instructions per step, whose operands are
    `operand` (f16 or bf16). The array has numbers of `element`.
    """

    name = "tile.weight_pack"
    part: StringAttr
    format: StringAttr
    rows: IntAttr
    columns: IntAttr
    operand: Attribute
    warps: IntAttr
    along_n: IntAttr
    along_k: IntAttr
    element: Attribute

    @staticmethod
    def of(
        part: str,
        format: str,
        shape: tuple[int, ...],
        operand: Attribute,
        warps: int,
        repeat: tuple[int, int],
        element: Attribute,
    ) -> WeightPackAttr:
        """The attribute for a part of a weight of `shape`; `repeat` is along N and K."""
        rows, columns = (IntAttr(n) for n in shape)
        along_n, along_k = (IntAttr(n) for n in repeat)
        return WeightPackAttr(
            StringAttr(part),
            StringAttr(format),
            rows,
            columns,
            operand,
            IntAttr(warps),
            along_n,
            along_k,
            element,
        )

    def verify(self) -> None:
        if self.part.data not in PARTS:
            raise VerifyException(f"{self.name}: part is one of {PARTS}, found {self.part}")
