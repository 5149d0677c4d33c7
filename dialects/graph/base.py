"""What all ops of the `graph` dialect share: one tensor result, no side effect.

A tensor type holds an upper bound of each extent; where one is known only at run time, the encoding
says what all of them are: `tensor<8x4xf32, #graph.sizes<["batch[1..8]", "4"]>>`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from xdsl.dialects.builtin import ArrayAttr, IntAttr, NoneAttr, StringAttr, TensorType
from xdsl.ir import Attribute, ParametrizedAttribute, SSAValue
from xdsl.irdl import IRDLOperation, irdl_attr_definition, result_def, traits_def
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from ..sizes import Size, has_symbols, upper_bound

Ints = ArrayAttr[IntAttr]
Tensor = TensorType[Attribute]


def ints(values: Sequence[int]) -> Ints:
    """An attribute holding `values`."""
    return ArrayAttr([IntAttr(v) for v in values])


@irdl_attr_definition
class SizesAttr(ParametrizedAttribute):
    """The extents of a tensor some of which are known at run time, as texts of `Size`."""

    name = "graph.sizes"
    texts: ArrayAttr[StringAttr]

    @property
    def sizes(self) -> tuple[int, ...]:
        """The extents; a `Size` has the arithmetic of an int."""
        return _parsed(tuple(text.data for text in self.texts))


@lru_cache(maxsize=1024)
def _parsed(texts: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(Size.parse(text) for text in texts)


def tensor_of(element: Attribute, shape: Sequence[int]) -> Tensor:
    """The tensor type with extents `shape`, of which some may be a `Size`."""
    if not has_symbols(shape):
        return TensorType(element, shape)
    texts = ArrayAttr([StringAttr(str(n)) for n in shape])
    return TensorType(element, [upper_bound(n) for n in shape], SizesAttr(texts))


def extents_of_type(type: Attribute) -> tuple[int, ...]:
    """The extents of a tensor type: ints, or a `Size` where it is known at run time."""
    assert isinstance(type, TensorType)
    encoding: Attribute = type.encoding
    return encoding.sizes if isinstance(encoding, SizesAttr) else type.get_shape()


def is_dynamic(type: Attribute) -> bool:
    """Whether some extent of a tensor type is known at run time only."""
    return isinstance(type, TensorType) and not isinstance(type.encoding, NoneAttr)


def shape_of(value: SSAValue) -> tuple[int, ...]:
    """The extents of a tensor value: ints, or a `Size` where it is known at run time."""
    return extents_of_type(value.type)


def bounds_of(value: SSAValue) -> tuple[int, ...]:
    """Upper bounds of the extents of a tensor value, for what needs an estimate."""
    assert isinstance(value.type, TensorType)
    return value.type.get_shape()


def element_of(value: SSAValue) -> Attribute:
    """The element type of a tensor value."""
    assert isinstance(value.type, TensorType)
    element: Attribute = value.type.element_type
    return element


class GraphOp(IRDLOperation):
    """Base: one tensor result, no side effect; the result shape is checked."""

    result = result_def(TensorType)
    traits = traits_def(Pure())

    def expected_shape(self) -> tuple[int, ...] | None:
        """The result shape that the operands and attributes imply; None where any is allowed."""
        return None

    def verify_(self) -> None:
        expected = self.expected_shape()
        if expected is not None and expected != shape_of(self.result):
            raise VerifyException(
                f"{self.name}: operands and attributes imply shape {expected}, "
                f"the result has {shape_of(self.result)}"
            )


def check_dim(op: GraphOp, dim: IntAttr, value: SSAValue) -> None:
    """VerifyException where `value` has no dimension `dim`."""
    rank = len(shape_of(value))
    if not 0 <= dim.data < rank:
        raise VerifyException(f"{op.name}: dim {dim.data} is outside rank {rank}")
