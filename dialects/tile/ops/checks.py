"""What verifiers of tile ops ask: types of values, and whether two things agree."""

from __future__ import annotations

from xdsl.ir import Operation, SSAValue
from xdsl.utils.exceptions import VerifyException

from ..types import RegisterType, TileType


def tile_of(value: SSAValue) -> TileType:
    """The type of `value`, which is a tile."""
    assert isinstance(value.type, TileType)
    return value.type


def register_of(value: SSAValue) -> RegisterType:
    """The type of `value`, which is in registers."""
    assert isinstance(value.type, RegisterType)
    return value.type


def check_same(op: Operation, what: str, expected: object, found: object) -> None:
    """Both are equal, else VerifyException with both."""
    if expected != found:
        raise VerifyException(f"{op.name}: expected {what} {expected}, found {found}")


def check_same_layout(op: Operation, a: SSAValue, b: SSAValue) -> None:
    """Both register tiles lie the same way."""
    first, second = register_of(a).layout, register_of(b).layout
    if not first.is_same_as(second):
        raise VerifyException(f"{op.name}: layouts differ: {first} and {second}")
