"""A launch as a `__global__` function: the C rules for everything but loops that are bound."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

from xdsl.dialects import memref, scf
from xdsl.dialects.builtin import i64
from xdsl.ir import Operation

from ...dialects.errors import LoweringError
from ...passes.loops.opaque_rules.loop_builder import ATOMIC_KINDS
from ..c.c_types import storage_type
from ..c.control_rules import bound, loop_header
from ..c.expression import Expr, add, binary, integer, multiply
from ..c.function import FunctionEmitter
from ..c.memory_rules import element
from ..c.prelude import Prelude
from .launches import (
    Launch,
    extent_of,
    is_shared,
    is_thread_loop,
    stride_of,
    thread_loop_around,
    unit_of,
    units_in,
)

ATOMIC_FUNCTIONS = {kind: fn.capitalize() for fn, kind in ATOMIC_KINDS.items()}
_UNIT_INDEX = {
    "block.x": "blockIdx.x",
    "block.y": "blockIdx.y",
    "thread.x": "threadIdx.x",
    "thread.y": "threadIdx.y",
}


class CudaFunctionEmitter(FunctionEmitter):
    """Emits the function of a launch; `threads` are the extents of its blocks."""

    def __init__(self, launch: Launch, prelude: Prelude, prefix: str) -> None:
        super().__init__(launch.func, prelude, prefix)
        self.in_region = True  # threads are there already, none are to be started
        self.threads = dict(zip(("thread.x", "thread.y"), launch.block, strict=True))

    def ops(self, ops: Iterable[Operation]) -> None:
        """Emit `ops` in order; parallel loops by what they are bound to."""
        synchronized = True
        for op in ops:
            if isinstance(op, scf.ParallelOp):
                if is_thread_loop(op) and not thread_loop_around(op):
                    # What other threads have written in shared memory is read from here on.
                    if not synchronized:
                        self.flush()
                        self.line("__syncthreads();")
                    synchronized = False
                self._parallel(op)
            elif isinstance(op, memref.AllocaOp) and is_shared(op):
                self._shared(op)
            elif isinstance(op, memref.AtomicRMWOp):
                self._atomic(op)
            else:
                super().ops([op])

    def _shared(self, op: memref.AllocaOp) -> None:
        """An array that the threads of a block share."""
        if not op.memref.uses:
            return
        size = max(1, prod(op.memref.type.get_shape()))
        ctype = storage_type(op.memref.type.get_element_type())
        self.line(f"TILECAST_SHARED({ctype}, {self.declare(op.memref)}, {size});")

    def _atomic(self, op: memref.AtomicRMWOp) -> None:
        """A function of CUDA; sums of 64 bits are those of unsigned numbers."""
        if op.result.uses:
            raise LoweringError(f"{op.name} has no CUDA rule where its result is used")
        function = ATOMIC_FUNCTIONS[op.kind.value.data]
        is_wide = op.value.type == i64
        ctype = "int" if not is_wide else ("unsigned " if function == "Add" else "") + "long long"
        place, value = element(self, op.memref, op.indices), self.expr(op.value)
        self.effect(f"atomic{function}(({ctype} *)&{place.text}, ({ctype}){value.at(14)});")

    def _parallel(self, op: scf.ParallelOp) -> None:
        unit = unit_of(op)
        bounds = [bound(self, v) for v in (op.lowerBound[0], op.upperBound[0], op.step[0])]
        self.flush()
        (variable,) = op.body.block.args
        if unit is None and op.parent_op() is not self.func:
            if self.threads["thread.x"] > 1 and not self._is_inside_parallel(op):
                self._shared_out(op, bounds)
                return
            # a single thread runs all of it
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
        conditions = []
        if is_thread_loop(op) and not thread_loop_around(op):
            used = units_in(op)
            conditions = [
                f"{_UNIT_INDEX[unit]} == 0"
                for unit, size in self.threads.items()
                if size > 1 and unit not in used
            ]
        self.open("{")
        name = self.declare_loop_index(variable)
        self.line(f"const int64_t {name} = {add(lower, multiply(number, step)).text};")
        conditions.append(f"{name} < {upper.at(5)}")
        self.open(f"if ({' && '.join(conditions)}) {{")
        self.block(op.body.block)
        self.close()
        self.close()

    def _shared_out(self, op: scf.ParallelOp, bounds: list[Expr]) -> None:
        """Iterations dealt to the threads of the block, which see what was written before."""
        lower, upper, step = bounds
        first = add(lower, multiply(Expr("(int64_t)threadIdx.x", 9), step))
        stride = multiply(integer(self.threads["thread.x"]), step)
        (variable,) = op.body.block.args
        self.line("__syncthreads();")
        self.open(loop_header(self, variable, [first, upper, stride]))
        self.block(op.body.block)
        self.close()
        self.line("__syncthreads();")

    @staticmethod
    def _is_inside_parallel(op: scf.ParallelOp) -> bool:
        parent = op.parent_op()
        while parent is not None and not isinstance(parent, scf.ParallelOp):
            parent = parent.parent_op()
        return parent is not None

    @staticmethod
    def _shares_unit(op: scf.ParallelOp, unit: str) -> bool:
        """Whether a loop around `op` is bound to the same unit."""
        parent = op.parent_op()
        while parent is not None:
            if isinstance(parent, scf.ParallelOp) and unit_of(parent) == unit:
                return True
            parent = parent.parent_op()
        return False
