"""`graph.winograd_conv`: 3x3 convolutions on channel blocks by Winograd's minimal filtering.

An opaque op, whose loops `passes/loops/opaque_rules/winograd.py` writes. It brings the epilogues
and the padding of convolutions along, since its kernel has no other op that could do them.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, isqrt

from xdsl.dialects.builtin import IntAttr, TensorType, UnitAttr
from xdsl.ir import SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
)
from xdsl.utils.exceptions import VerifyException

from ..winograd import POINTS, WINDOW, transforms
from .base import Ints, element_of, ints, shape_of, tensor_of
from .opaque import OpaqueOp

NO_BORDER = (0, 0)


@irdl_op_definition
class WinogradConvOp(OpaqueOp):
    """relu(cross-correlation + bias + residual) in a border of zeros, in tiles of m x m results.

    source [B, C / L, H, W, L] without padding, weight [O / L, (m + 2)^2, C, L] transformed
    (`dialects/winograd.py`), bias [O / L, 1, 1, L], residual and results
    [B, O / L, H - 2, W - 2, L]; the border adds `border_low` and `border_high` rows and columns.
    """

    name = "graph.winograd_conv"
    tile = prop_def(IntAttr)
    border_low = prop_def(Ints)
    border_high = prop_def(Ints)
    relu = opt_prop_def(UnitAttr)
    source = operand_def(TensorType)
    weight = operand_def(TensorType)
    bias = opt_operand_def(TensorType)
    residual = opt_operand_def(TensorType)
    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    def __init__(
        self,
        source: SSAValue,
        weight: SSAValue,
        bias: SSAValue | None = None,
        residual: SSAValue | None = None,
        relu: bool = False,
        border_low: Sequence[int] = NO_BORDER,
        border_high: Sequence[int] = NO_BORDER,
    ) -> None:
        batch, _, height, width, lanes = shape_of(source)
        added = [low + high - WINDOW + 1 for low, high in zip(border_low, border_high, strict=True)]
        shape = (batch, shape_of(weight)[0], height + added[0], width + added[1], lanes)
        super().__init__(
            operands=[source, weight, bias, residual],
            properties={
                "tile": IntAttr(isqrt(shape_of(weight)[1]) - WINDOW + 1),
                "border_low": ints(border_low),
                "border_high": ints(border_high),
                **({"relu": UnitAttr()} if relu else {}),
            },
            result_types=[tensor_of(element_of(source), shape)],
        )

    @property
    def positions(self) -> tuple[int, ...]:
        """[B, O / L, H - 2, W - 2, L]: the results inside of the border."""
        batch, _, height, width, lanes = shape_of(self.source)
        blocks = shape_of(self.weight)[0]
        return (batch, blocks, height - WINDOW + 1, width - WINDOW + 1, lanes)

    @property
    def multiply_adds(self) -> int:
        """Those of the products of all tiles; transforms have few beside them."""
        batch, blocks, height, width, lanes = self.positions
        tile: int = self.tile.data
        down, across = ceil(height / tile), ceil(width / tile)
        _, points, channels, _ = shape_of(self.weight)
        return batch * down * across * points * channels * blocks * lanes

    def expected_shape(self) -> tuple[int, ...] | None:
        batch, blocks, height, width, lanes = self.positions
        low, high = ([w.data for w in p] for p in (self.border_low, self.border_high))
        return (batch, blocks, height + low[0] + high[0], width + low[1] + high[1], lanes)

    @property
    def longest_sum(self) -> int:
        """Errors of direct sums grow as the root of their length, these by the `amplification`."""
        channels = shape_of(self.weight)[-2]
        return ceil(channels * transforms(self.tile.data).amplification ** 2)

    def verify_(self) -> None:
        tile, (_, inner, _, _, lanes) = self.tile.data, shape_of(self.source)
        if tile not in POINTS:
            raise VerifyException(f"{self.name}: tile {tile} is none of {sorted(POINTS)}")
        blocks = shape_of(self.weight)[0]
        expected = {
            "weight": (blocks, (tile + WINDOW - 1) ** 2, inner * lanes, lanes),
            "bias": (blocks, 1, 1, lanes),
            "residual": self.positions,
        }
        for name, shape in expected.items():
            value = getattr(self, name)
            if value is not None and shape_of(value) != shape:
                raise VerifyException(
                    f"{self.name}: expected {name} of shape {shape}, found {shape_of(value)}"
                )
        if len({element_of(value) for value in (*self.operands, self.result)}) != 1:
            raise VerifyException(f"{self.name}: expected operands of one element type")
        super().verify_()
