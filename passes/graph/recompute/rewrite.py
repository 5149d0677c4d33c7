"""Write a program whose tensors are computed again where a plan says so.

before: %1 = graph.pointwise %x ; ... many steps ... ; %9 = graph.conv %1
after:  ... many steps ... ; %1b = graph.pointwise %x ; %9 = graph.conv %1b

Steps stay in their order. Ops that compute again are marked, so that they are not fused into the
kernel of what they read, which would compute them early again.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import IntAttr
from xdsl.dialects.func import ReturnOp
from xdsl.ir import Operation, OpResult, SSAValue

from ....dialects.graph import WeightOp
from ..canonicalize import drop_unused_ops
from ..groups import RECOMPUTED
from ..patches.steps import Program
from .plan import Again


class Repeater:
    """Copies a program behind its own ops, step by step, and drops these."""

    def __init__(self, program: Program, again: Sequence[Again]) -> None:
        self.program, self.again = program, again
        self.current: dict[SSAValue, SSAValue] = {}
        self.layouts: dict[SSAValue, SSAValue] = {}
        self.copies: dict[Operation, Operation] = {}
        end = program.main.body.block.last_op
        assert isinstance(end, ReturnOp)
        self.end = end

    def run(self) -> dict[Operation, Operation]:
        """Rewrite main; the copy of every op of a step, where it stood before."""
        events = sorted(self.again, key=lambda again: (again.step, again.tensor.home))
        for number, step in enumerate(self.program.steps):
            for event, again in enumerate(events):
                if again.step == number:
                    self.repeat(again, event)
            for op in step.ops:
                self.copies[op] = self.copy(op)
                self.show(op, self.copies[op])
        returned = [self.value(v) for v in self.end.arguments]
        for k, value in enumerate(returned):
            self.end.operands[k] = value
        block = self.program.main.body.block
        drop_unused_ops(block)
        return self.copies

    def repeat(self, again: Again, event: int) -> None:
        """Compute a tensor once more; what is read from now on is the new one."""
        before = dict(self.current)
        for op in again.tensor.ops:
            copy = self.copy(op)
            copy.attributes[RECOMPUTED] = IntAttr(event)
            self.show(op, copy)
        result = again.tensor.op.result
        self.current = before | {result: self.current[result]}

    def show(self, op: Operation, copy: Operation) -> None:
        """Read the results of `copy` where those of `op` were read."""
        self.layouts.clear()
        self.current.update(zip(op.results, copy.results, strict=True))

    def copy(self, op: Operation) -> Operation:
        """A copy of an op on current values, at the end."""
        operands = {value: self.value(value) for value in op.operands}
        copy = op.clone(dict(operands))
        self.program.main.body.block.insert_op_before(copy, self.end)
        for old, new in zip(op.results, copy.results, strict=True):
            new.name_hint = old.name_hint
        return copy

    def value(self, value: SSAValue) -> SSAValue:
        """What stands for a value now. Layouts and constants are copied for each step, weights
        are not."""
        if value in self.current:
            return self.current[value]
        if not isinstance(value, OpResult):
            return value
        if isinstance(value.owner, WeightOp):
            self.current[value] = self.copy(value.owner).results[value.index]
            return self.current[value]
        if value not in self.layouts:
            self.layouts[value] = self.copy(value.owner).results[value.index]
        return self.layouts[value]


def repeat_tensors(program: Program, again: Sequence[Again]) -> dict[Operation, Operation]:
    """Rewrite the main of `program`; the copy of each op in its old place."""
    return Repeater(program, again).run()
