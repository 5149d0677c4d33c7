"""What control flow means on numpy arrays, given how to call a function of the module by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..graph.control import CondOp, ControlOp, ForOp, WhileOp

Array = npt.NDArray[Any]
Call = Callable[[str, Sequence[Array]], list[Array]]


def run_control(op: ControlOp, operands: Sequence[Array], call: Call) -> list[Array]:
    """The results of `op`."""
    names = op.callees
    match op:
        case CondOp():
            holds, *arguments = operands
            return call(names["then_branch" if holds else "else_branch"], arguments)
        case WhileOp():
            count = len(op.carried)
            carried, shared = list(operands[:count]), operands[count:]
            while call(names["condition"], [*carried, *shared])[0]:
                carried = call(names["body"], [*carried, *shared])
            return carried
        case ForOp():
            return _run_for(op, operands, lambda arguments: call(names["body"], arguments))
    raise NotImplementedError(op.name)


def _run_for(
    op: ForOp, operands: Sequence[Array], body: Callable[[Sequence[Array]], list[Array]]
) -> list[Array]:
    count, slices = len(op.carried), len(op.sliced)
    carried, sliced = list(operands[:count]), operands[count : count + slices]
    shared = operands[count + slices :]
    stacked: list[list[Array]] = [[] for _ in op.stacked]
    for i in range(op.count.data):
        results = body([*carried, *(x[i] for x in sliced), *shared])
        carried = results[:count]
        for rows, row in zip(stacked, results[count:], strict=True):
            rows.append(row)
    return [*carried, *(np.stack(rows) for rows in stacked)]
