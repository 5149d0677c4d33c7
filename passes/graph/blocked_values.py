"""The channel-blocked forms of values and weights: [B, C, *S] as [B, C / L, *S, L].

Blocked forms are made beside the plain ones; what is left unread is dropped later.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import AffineMapAttr, FloatAttr, TensorType, f64
from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, Operation, SSAValue
from xdsl.ir.affine import (
    AffineBinaryOpExpr,
    AffineBinaryOpKind,
    AffineConstantExpr,
    AffineDimExpr,
    AffineExpr,
    AffineMap,
)

from ...dialects.graph import (
    FullOp,
    GraphOp,
    PadOp,
    PointwiseOp,
    ReshapeOp,
    ViewOp,
    WeightOp,
    element_of,
    shape_of,
    tensor_of,
)
from ...dialects.weights import WeightStore

Array = npt.NDArray[Any]
CHANNEL = 1  # the dim of channels


class BlockedValues:
    """Knows which plain values of one function have a blocked form, and makes such forms."""

    def __init__(self, main: FuncOp, weights: WeightStore, lanes: int) -> None:
        self.block: Block = main.body.block
        self.weights, self.lanes = weights, lanes
        self.forms: dict[SSAValue, SSAValue] = {}
        self.plain_forms: dict[SSAValue, SSAValue] = {}
        self.pads: dict[tuple[SSAValue, tuple[int, ...], tuple[int, ...], float], PadOp] = {}

    def insert(self, op: GraphOp, before: Operation) -> SSAValue:
        """Insert `op`, which comes from the same source line as `before`."""
        if "loc" in before.attributes:
            op.attributes["loc"] = before.attributes["loc"]
        self.block.insert_op_before(op, before)
        return op.result

    def blocks(self, channels: int) -> int:
        """Blocks that hold so many channels."""
        return -(-channels // self.lanes)

    def shape(self, plain: Sequence[int]) -> list[int]:
        """The blocked shape of a plain one."""
        return [plain[0], self.blocks(plain[1]), *plain[2:], self.lanes]

    def stored(self, value: SSAValue) -> Array | None:
        """The array of a stored weight."""
        if not isinstance(value.owner, WeightOp):
            return None
        symbol = value.owner.symbol.root_reference.data
        return self.weights.get(symbol)

    def weight(self, value: SSAValue, array: Array, before: Operation) -> SSAValue:
        """`array` [O, ...] as a new weight [O / L, ..., L], zeros behind, named after `value`."""
        assert isinstance(value.owner, WeightOp)
        missing = self.blocks(array.shape[0]) * self.lanes - array.shape[0]
        array = np.pad(array, [(0, missing), *[(0, 0)] * (array.ndim - 1)])
        array = array.reshape(-1, self.lanes, *array.shape[1:])
        array = np.ascontiguousarray(np.moveaxis(array, 1, -1))
        symbol = self.weights.add(f"{value.owner.symbol.root_reference.data}_blocked", array)
        return self.insert(
            WeightOp(symbol, tensor_of(element_of(value), list(array.shape))), before
        )

    def plain(self, value: SSAValue) -> SSAValue:
        """A value [B, C, *S] again, read through a view of the blocked form of `value`."""
        if value in self.plain_forms:
            return self.plain_forms[value]
        form, shape = self.forms[value], shape_of(value)
        after = form.owner
        assert isinstance(after, Operation)
        new: GraphOp
        if prod(shape[2:]) == 1 and shape[1] % self.lanes == 0:
            new = ReshapeOp(form, tensor_of(element_of(value), shape))
        else:
            new = self.channels_view(form, shape[1])
        self.block.insert_op_after(new, after)
        self.plain_forms[value] = new.result
        return new.result

    def channels_view(self, form: SSAValue, channels: int) -> ViewOp:
        """[B, C, *S] of a blocked tensor, without the lanes that hold no channel."""
        batch, _, *image, _ = shape_of(form)
        dims = [AffineDimExpr(d) for d in range(2 + len(image))]
        exprs = (dims[0], dims[1] // self.lanes, *dims[2:], dims[1] % self.lanes)
        map = AffineMapAttr(AffineMap(len(dims), 0, exprs))
        return ViewOp(form, map, tensor_of(element_of(form), [batch, channels, *image]))

    def padded(
        self,
        source: SSAValue,
        first: int,
        low: Sequence[int],
        high: Sequence[int],
        number: float,
        before: Operation,
    ) -> SSAValue:
        """`source` with dims from `first` on padded; the same op for the same padding."""
        if not any(low) and not any(high):
            return source
        shape = shape_of(source)
        behind = len(shape) - first - len(low)
        low, high = ((*[0] * first, *p, *[0] * behind) for p in (low, high))
        key = (source, tuple(low), tuple(high), number)
        if key not in self.pads:
            extents = [n + lo + hi for n, lo, hi in zip(shape, low, high, strict=True)]
            type = tensor_of(element_of(source), extents)
            pad = PadOp(source, low, high, FloatAttr(number, f64), type)
            self.insert(pad, before)
            self.pads[key] = pad
        return self.pads[key].result

    def operand(self, value: SSAValue, like: Sequence[int], before: Operation) -> SSAValue | None:
        """What a blocked pointwise op of plain shape `like` reads for `value`; None if nothing."""
        if value in self.forms and len(shape_of(value)) == len(like):
            return self.forms[value]
        if isinstance(value.owner, FullOp):
            type = tensor_of(element_of(value), [])
            full = FullOp(0, type)
            full.properties["value"] = value.owner.value
            return self.insert(full, before)
        shape = shape_of(value)
        if prod(shape) == 1:
            return self.insert(ReshapeOp(value, tensor_of(element_of(value), [])), before)
        array, rank = self.stored(value), len(like)
        aligned = (*[1] * (rank - len(shape)), *shape)
        if array is None or prod(aligned) != like[1] or aligned[1] != like[1]:
            return None
        return self.weight(value, array.reshape(like[1], *[1] * (rank - 2)), before)

    def with_bias(self, value: SSAValue, bias: SSAValue | None, before: Operation) -> SSAValue:
        """Blocked `value` plus a number per channel."""
        if bias is None:
            return value
        array = self.stored(bias)
        assert array is not None
        rank = len(shape_of(value)) - 1
        blocked = self.weight(bias, array.reshape(-1, *[1] * (rank - 2)), before)
        type = value.type
        assert isinstance(type, TensorType)
        return self.insert(PointwiseOp("add", [value, blocked], type), before)

    def store_padded(self) -> None:
        """Let the first padding of each value be what is stored; others read its inside."""
        done: set[SSAValue] = set()
        for (source, low, *_), pad in self.pads.items():
            owner = source.owner
            if source in done or not isinstance(owner, Operation):
                continue
            done.add(source)
            pad.detach()  # type: ignore[no-untyped-call]
            self.block.insert_op_after(pad, owner)
            users = [use for use in source.uses if use.operation is not pad]
            if not users:
                continue
            dims = [AffineDimExpr(d) + at if at else AffineDimExpr(d) for d, at in enumerate(low)]
            map = AffineMapAttr(AffineMap(len(dims), 0, tuple(dims)))
            type = source.type
            assert isinstance(type, TensorType)
            inside = ViewOp(pad.result, map, type)
            self.block.insert_op_after(inside, pad)
            for use in users:
                use.operation.operands[use.index] = inside.result


def channel_view_is_trivial(op: ViewOp | ReshapeOp) -> bool:
    """Whether `op` only adds or drops unit dims behind [B, C]."""
    before, after = shape_of(op.source), shape_of(op.result)
    if min(len(before), len(after)) < 2 or before[:2] != after[:2]:
        return False
    if prod(before[2:]) != 1 or prod(after[2:]) != 1:
        return False
    if isinstance(op, ReshapeOp):
        return True
    zero = AffineConstantExpr(0)
    lead = tuple(zero if n == 1 else AffineDimExpr(d) for d, n in enumerate(before[:2]))
    found = op.map.data.results[:2]
    return all(
        e in (want, AffineDimExpr(d)) for d, (e, want) in enumerate(zip(found, lead, strict=True))
    )


def whole_blocks(channel: AffineExpr, lanes: int) -> AffineExpr | None:
    """The block that index `channel` lies in, for dims with blocks in the place of channels;
    None where lanes change places, or not all of them have the same block."""
    if sum(part == AffineExpr.dimension(CHANNEL) for part in channel.dfs()) != 1:
        return None

    def blocks(expr: AffineExpr) -> AffineExpr | None:
        match expr:
            case AffineDimExpr(position=position):
                return expr if position == CHANNEL else None
            case AffineConstantExpr(value=value):
                return AffineExpr.constant(value // lanes) if value % lanes == 0 else None
            case AffineBinaryOpExpr(kind=AffineBinaryOpKind.Add, lhs=lhs, rhs=rhs):
                left, right = blocks(lhs), blocks(rhs)
                return None if left is None or right is None else left + right
            case AffineBinaryOpExpr(
                kind=AffineBinaryOpKind.Mul, lhs=lhs, rhs=AffineConstantExpr(value=factor)
            ) if factor % lanes == 0 and CHANNEL not in lhs.used_dims():
                return lhs * (factor // lanes)
            case _:
                return None

    return blocks(channel)
