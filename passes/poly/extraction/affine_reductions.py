"""Recognise A[f] = A[f] (+) e as a reduction: its instances may be reordered."""

from __future__ import annotations

from xdsl.dialects import affine, arith
from xdsl.ir import Operation, SSAValue
from xdsl.ir.affine import AffineMap

from ..combiners import COMBINERS
from ..sets import access_map
from .iteration_domain import IterationDomain
from .statement_slice import StatementSlice


def reduction_of(
    store: affine.StoreOp, part: StatementSlice, write: AffineMap, domain: IterationDomain
) -> str | None:
    """The reduction kind of `store`, its body then being complete in `part`; None for no reduction.

    A - e counts as A + (-e). The element must be updated more than once (else there is nothing to
    reorder), and e must not use it through the same access; other elements of the array it may.
    """
    combiner = store.value.owner
    if not isinstance(combiner, Operation):
        return None
    kind = "add" if isinstance(combiner, arith.SubfOp) else COMBINERS.get(type(combiner))
    if (
        kind is None
        or access_map(write, "S", "A")
        .intersect_domain(domain.set.set_tuple_name("S"))
        .is_injective()
    ):
        return None
    target = part.arrays[store.memref]
    operands = list(combiner.operands)
    found = [k for k, o in enumerate(operands) if _is_element(o, part, target, write)]
    if len(found) != 1 or (isinstance(combiner, arith.SubfOp) and found != [0]):
        return None
    accumulator = part.access(target, write.results)
    part.values[operands[found[0]]] = accumulator
    other = part.value(operands[1 - found[0]])
    if any(accumulator in op.operands for op in part.block.ops):
        return None
    _combine(combiner, part, accumulator, other, found[0])
    return kind


def _is_element(value: SSAValue, part: StatementSlice, target: SSAValue, write: AffineMap) -> bool:
    load = value.owner
    return (
        isinstance(load, affine.LoadOp)
        and load not in part.kept
        and part.arrays[load.memref] is target
        and part.indices.element(load) == write.results
    )


def _combine(
    combiner: Operation, part: StatementSlice, accumulator: SSAValue, other: SSAValue, first: int
) -> None:
    """End the body with accumulator (+) other."""
    combined: Operation
    if isinstance(combiner, arith.SubfOp):
        negated = arith.NegfOp(other)
        part.block.add_op(negated)
        combined = arith.AddfOp(accumulator, negated.result)
    else:
        combined = combiner.clone_without_regions()
        combined.attributes.pop("loc", None)
        combined.operands = [accumulator, other] if first == 0 else [other, accumulator]
    part.block.add_op(combined)
    part.finish(combined.results[0])
