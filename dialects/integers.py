"""Integer element types: which are unsigned, and what numbers they hold.

`ui8` is the only unsigned type. Like f16 it is a type of storage: graph ops and memrefs have it,
bodies of kernels widen what they read and compute without signs, modulo the width they store.
"""

from __future__ import annotations

from xdsl.dialects.builtin import IntegerType, Signedness
from xdsl.ir import Attribute

ui8 = IntegerType(8, Signedness.UNSIGNED)


def is_unsigned(element: Attribute) -> bool:
    """Whether `element` is ui8; i1 holds truth values and i8 to i64 are signed."""
    return isinstance(element, IntegerType) and element.signedness.data == Signedness.UNSIGNED


def smallest_integer(element: IntegerType) -> int:
    """The smallest number of an integer type."""
    width = element.width.data
    return 0 if width == 1 or is_unsigned(element) else -(1 << (width - 1))


def largest_integer(element: IntegerType) -> int:
    """The largest number of an integer type."""
    width = element.width.data
    return (1 << width) - 1 if width == 1 or is_unsigned(element) else (1 << (width - 1)) - 1


def wrapped(number: int, element: IntegerType) -> int:
    """`number` modulo the width of `element`, as torch converts numbers; truth values: not 0."""
    if element.width.data == 1:
        return int(number != 0)
    low = smallest_integer(element)
    return (number - low) % (1 << element.width.data) + low


def holds_integers(wide: IntegerType, narrow: IntegerType) -> bool:
    """Whether every number of `narrow` is one of `wide`."""
    return smallest_integer(wide) <= smallest_integer(narrow) and (
        largest_integer(narrow) <= largest_integer(wide)
    )
