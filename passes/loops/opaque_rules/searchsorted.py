"""Loops of `graph.searchsorted`: a binary search per value, all of equally many steps."""

from __future__ import annotations

from xdsl.ir import SSAValue

from ....dialects.graph import element_of, shape_of
from ....dialects.graph.opaque import SearchsortedOp
from ....dialects.sizes import upper_bound
from .kernel import OpaqueKernel
from .loop_builder import LoopBuilder
from .rule import lowers


@lowers(SearchsortedOp)
def lower_searchsorted(op: SearchsortedOp, kernel: OpaqueKernel, b: LoopBuilder) -> None:
    """Halve low..high until nothing is left; both stay where they are from then on."""
    rows = shape_of(op.sorted)
    extent, element = rows[-1], element_of(op.result)

    def search(b: LoopBuilder, position: list[SSAValue]) -> None:
        wanted = kernel.read(b, op.values, position)
        row = position[:-1] if len(rows) > 1 else []

        def halve(
            b: LoopBuilder, _: SSAValue, low: SSAValue, high: SSAValue
        ) -> tuple[SSAValue, SSAValue]:
            middle = b.div(b.add(low, high), b.index(2))
            readable = b.minimum(middle, b.index(extent - 1))
            found = kernel.read(b, op.sorted, [*row, readable])
            # a NaN among the values compares false and goes to the end
            relation = "gt" if op.right.value.data else "ge"
            is_after = b.invert(b.compare(relation, found, wanted))
            is_open = b.compare("lt", low, high)
            new_low = b.select(b.both(is_open, is_after), b.add(middle, b.index(1)), low)
            return new_low, b.select(is_after, high, b.minimum(middle, high))

        low = b.index(0)
        if extent:
            low, _ = b.loop(0, upper_bound(extent).bit_length(), halve, [low, b.index(extent)])
        b.store(b.from_index(low, element), kernel.out, position)

    b.nest(shape_of(op.values), search)
