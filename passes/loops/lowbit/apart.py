"""Sums as a function of their own, where gcc keeps them in the registers of a machine with few.

before: for group: part = sums over the group; total += scale * part
after:  for group: { store sums over the group to an array } ; total += scale * the array

The braces are a function that is not inlined. Otherwise totals, scales and constants of all groups
take registers in the loops over one group, and its sums go to memory after every addition.
"""

from __future__ import annotations

from collections.abc import Callable

from xdsl.ir import Attribute, SSAValue

from ....costmodel.hardware import Machine
from ..opaque_rules.loop_builder import LoopBuilder
from .lanes import Lanes

Values = list[SSAValue]


def is_crowded(machine: Machine, lanes: int) -> bool:
    """Whether constants, sums of a tile and what is multiplied do not all fit the registers."""
    return lanes > 1 and machine.has_few_registers


def apart(
    b: LoopBuilder,
    lanes: Lanes,
    element: Attribute,
    count: int,
    first: SSAValue,
    sums: Callable[[LoopBuilder, SSAValue], Values],
) -> Values:
    """sums(b, first), which are `count` vectors of `element`."""
    array = b.local([count * lanes.count], element)
    places = [[at * lanes.count] for at in range(count)]

    def body(b: LoopBuilder, first: SSAValue) -> None:
        for place, value in zip(places, sums(b, first), strict=True):
            lanes.store(b, value, array, place, None)

    b.loop(first, b.add(first, b.index(1)), body, called=True)
    return [lanes.load(b, array, place) for place in places]
