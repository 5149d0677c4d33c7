"""Which values of a loop body are steps on the way from a carried value to its next one."""

from __future__ import annotations

from xdsl.dialects.builtin import VectorType
from xdsl.dialects.scf import ForOp, YieldOp
from xdsl.ir import SSAValue


def update_chains(loop: ForOp) -> dict[SSAValue, int]:
    """The carried position of every value that may overwrite its variable.

    Each is read once, by the next step of the chain, which `scf.yield` ends. Chains of several
    steps are those of vectors: sums whose order decides how many registers are taken.
    """
    found: dict[SSAValue, int] = {}
    for position, argument in enumerate(loop.body.block.args[1:]):
        steps = _steps(loop, argument, position)
        if len(steps) == 1 or isinstance(argument.type, VectorType):
            found.update(dict.fromkeys(steps, position))
    return found


def _steps(loop: ForOp, argument: SSAValue, position: int) -> list[SSAValue]:
    steps: list[SSAValue] = []
    value = argument
    while True:
        user = value.get_user_of_unique_use()
        if user is None or user.parent is not loop.body.block:
            return []
        if isinstance(user, YieldOp):
            (use,) = value.uses
            return steps if use.index == position else []
        if user.regions or len(user.results) != 1 or user.results[0].type != argument.type:
            return []
        value = user.results[0]
        steps.append(value)
