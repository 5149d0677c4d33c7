"""How much each kernel has to do: floating-point operations and bytes of its arguments, from IR."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from xdsl.dialects import arith, math, tensor
from xdsl.dialects.builtin import AnyFloat, FixedBitwidthType, ModuleOp, TensorType
from xdsl.dialects.func import FuncOp
from xdsl.dialects.linalg.ops import GenericOp
from xdsl.ir import Attribute, Operation, SSAValue

from ...costmodel.speeds import Speeds
from ...dialects.graph import shape_of
from ...dialects.graph.control import is_program
from ...dialects.graph.recurrent import RecurrentOp
from ...dialects.graph.winograd import WinogradConvOp
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
    """The work of one call. Of a table that is only read at computed indices, no more than what is
    read counts."""
    flops = sum(_flops(op) for op in kernel.walk())
    tables = sum(_table_bytes(argument) for argument in kernel.body.block.args)
    return KernelWork(flops, tables + tensor_bytes(list(kernel.function_type.outputs)))


def _table_bytes(argument: SSAValue) -> int:
    """Bytes of an argument that are read at most."""
    whole, readers = tensor_bytes([argument.type]), [use.operation for use in argument.uses]
    loops = [op.parent_op() for op in readers if isinstance(op, tensor.ExtractOp)]
    if len(loops) < len(readers) or not loops:
        return whole
    reads = sum(prod(loop_extents(op)) for op in loops if isinstance(op, GenericOp))
    return min(whole, reads * element_bytes(argument.type))


def element_bytes(type: Attribute) -> int:
    """Bytes of an element of a tensor; less than a byte has one."""
    assert isinstance(type, TensorType)
    element = type.element_type
    return max(1, element.bitwidth // 8) if isinstance(element, FixedBitwidthType) else 0


def tensor_bytes(types: Sequence[Attribute]) -> int:
    """Bytes of all tensors of `types`; elements of less than a byte have one."""
    return sum(
        prod(type.get_shape()) * element_bytes(type)
        for type in types
        if isinstance(type, TensorType)
    )


def _flops(op: Operation) -> int:
    if isinstance(op, RecurrentOp):
        return _recurrent_flops(op)
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


def _recurrent_flops(op: RecurrentOp) -> int:
    """Products with the recurrent weights; the gates are small beside them."""
    steps, batch, gates = shape_of(op.gates)
    return 2 * steps * batch * gates * shape_of(op.weight)[1]
