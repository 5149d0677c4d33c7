"""How much each kernel has to do: floating-point operations and bytes of its arguments, from IR."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from xdsl.dialects import arith, math
from xdsl.dialects.builtin import AnyFloat, FixedBitwidthType, ModuleOp, TensorType
from xdsl.dialects.func import FuncOp
from xdsl.dialects.linalg.ops import GenericOp
from xdsl.ir import Attribute, Operation

from ...costmodel.speeds import Speeds
from ...dialects.graph import shape_of
from ...dialects.graph_control import is_program
from ...dialects.graph_opaque import LstmOp
from ...dialects.graph_winograd import WinogradConvOp
from ..verify.reduction_length import loop_extents

FREE = (arith.ConstantOp, arith.ExtFOp, arith.TruncFOp)  # cost nothing by this count


@dataclass(frozen=True)
class KernelWork:
    """Operations (a multiply-add is two) and bytes of all arguments, each touched once."""

    flops: int
    bytes: int

    def floor_seconds(self, speeds: Speeds, threads: int) -> float:
        """No program needs less: multiply-adds at peak, or arguments streamed from L3."""
        bandwidth = speeds.bandwidth("l3", threads).copy
        return max(self.flops / speeds.peak("f32", threads), self.bytes / bandwidth)


def work_of_kernels(structure: ModuleOp) -> dict[str, KernelWork]:
    """The work of one call of each kernel, from the IR of the structure stage."""
    return {
        op.sym_name.data: kernel_work(op)
        for op in structure.ops
        if isinstance(op, FuncOp) and not is_program(op) and not op.is_declaration
    }


def kernel_work(kernel: FuncOp) -> KernelWork:
    """The work of one call."""
    types = [*kernel.function_type.inputs, *kernel.function_type.outputs]
    flops = sum(_flops(op) for op in kernel.walk())
    return KernelWork(flops, tensor_bytes(types))


def tensor_bytes(types: Sequence[Attribute]) -> int:
    """Bytes of all tensors of `types`; elements of less than a byte have one."""
    return sum(
        prod(type.get_shape()) * max(1, type.element_type.bitwidth // 8)
        for type in types
        if isinstance(type, TensorType) and isinstance(type.element_type, FixedBitwidthType)
    )


def _flops(op: Operation) -> int:
    if isinstance(op, LstmOp):
        return _lstm_flops(op)
    if isinstance(op, WinogradConvOp):
        return 2 * op.multiply_adds
    if not isinstance(op, GenericOp):
        return 0
    computed = sum(
        isinstance(inner.results[0].type, AnyFloat) and not isinstance(inner, FREE)
        for inner in op.body.block.ops
        if inner.results and inner.name.startswith((arith.Arith.name, math.Math.name))
    )
    return prod(loop_extents(op)) * computed


def _lstm_flops(op: LstmOp) -> int:
    """Products with the recurrent weights; the gates are small beside them."""
    steps, batch, gates = shape_of(op.gates)
    return 2 * steps * batch * gates * shape_of(op.weight)[1]
