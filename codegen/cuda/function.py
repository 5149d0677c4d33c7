"""A launch as a `__global__` function: the C rules for everything but loops that are bound."""

from __future__ import annotations

import re
from collections.abc import Iterable

from xdsl.dialects import scf
from xdsl.ir import Operation

from ..c.control_rules import bound, loop_header
from ..c.expression import Expr, add, binary, integer, multiply
from ..c.function import FunctionEmitter
from .launches import extent_of, stride_of, unit_of

_UNIT_INDEX = {
    "block.x": "blockIdx.x",
    "block.y": "blockIdx.y",
    "thread.x": "threadIdx.x",
    "thread.y": "threadIdx.y",
}


def as_cuda(text: str) -> str:
    """C text as CUDA C++: the spelling of restrict, helpers on the device."""
    text = re.sub(r"\brestrict\b", "__restrict__", text)
    return re.sub(r"^static inline ", "static __device__ inline ", text, flags=re.M)


class CudaFunctionEmitter(FunctionEmitter):
    """Emits the function of a launch."""

    def ops(self, ops: Iterable[Operation]) -> None:
        """Emit `ops` in order; parallel loops by what they are bound to."""
        for op in ops:
            if isinstance(op, scf.ParallelOp):
                self._parallel(op)
            else:
                super().ops([op])

    def _parallel(self, op: scf.ParallelOp) -> None:
        unit = unit_of(op)
        bounds = [bound(self, v) for v in (op.lowerBound[0], op.upperBound[0], op.step[0])]
        self.flush()
        (variable,) = op.body.block.args
        if unit is None and op.parent_op() is not self.func:  # a single thread runs all of it
            self.open(loop_header(self, variable, bounds))
            self.block(op.body.block)
            self.close()
            return
        lower, upper, step = bounds
        number = Expr("(int64_t)blockIdx.x * blockDim.x + threadIdx.x", 6)
        if unit is not None:
            number = Expr(_UNIT_INDEX[unit])
            stride = stride_of(op)
            if stride > 1:
                number = binary(number, "/", integer(stride))
            if self._shares_unit(op, unit):
                number = binary(number, "%", integer(extent_of(op)))
            number = Expr(f"(int64_t)({number.text})" if number.level < 9 else number.text, 9)
        self.open("{")
        name = self.declare_loop_index(variable)
        self.line(f"const int64_t {name} = {add(lower, multiply(number, step)).text};")
        self.open(f"if ({name} < {upper.at(5)}) {{")
        self.block(op.body.block)
        self.close()
        self.close()

    @staticmethod
    def _shares_unit(op: scf.ParallelOp, unit: str) -> bool:
        """Whether a loop around `op` is bound to the same unit."""
        parent = op.parent_op()
        while parent is not None:
            if isinstance(parent, scf.ParallelOp) and unit_of(parent) == unit:
                return True
            parent = parent.parent_op()
        return False
