"""Whether anybody can see what stands in the lanes that a constant mask switches off."""

from __future__ import annotations

from xdsl.dialects import vector
from xdsl.ir import Operation, SSAValue

from ...dialects.vector import ConstantMaskOp, FnmaOp
from ...dialects.vector_arith import VECTOR_FORMS, SelectOp

LANEWISE: tuple[type[Operation], ...] = (*VECTOR_FORMS.values(), vector.FMAOp, FnmaOp)


def live_lanes(mask: SSAValue) -> int | None:
    """The number of lanes that `mask` sets, where it is a constant mask."""
    return mask.owner.count.data if isinstance(mask.owner, ConstantMaskOp) else None


def dead_lanes_are_unseen(value: SSAValue, live: int) -> bool:
    """Whether lanes `live` and up of `value` only reach lanes `live` and up of masked stores."""
    pending, seen = [value], {value}
    while pending:
        current = pending.pop()
        for use in current.uses:
            op = use.operation
            if isinstance(op, vector.MaskedStoreOp):
                if current is not op.value_to_store or live_lanes(op.mask) != live:
                    return False
            elif isinstance(op, SelectOp) and live_lanes(op.cond) == live and current is op.lhs:
                if current is op.rhs:
                    return False
            elif _is_lanewise(op):
                pending += [r for r in op.results if r not in seen]
                seen.update(op.results)
            else:
                return False
    return True


def _is_lanewise(op: Operation) -> bool:
    return isinstance(op, LANEWISE) or op.name.startswith(("arith.", "math.", "pair."))
