"""Check each unique kernel by itself: linalg meaning in float64 against the compiled function.

Inputs are fresh random numbers away from zero, outputs are poisoned before the call.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from xdsl.dialects import linalg, tensor
from xdsl.dialects.builtin import (
    AnyFloat,
    ModuleOp,
    TensorType,
    i1,
)
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Block, BlockArgument, SSAValue

from ...dialects.element_types import numpy_dtype
from ...dialects.packing import pack_array
from ...dialects.poly import PackAttr
from ...dialects.reference.linalg import evaluate_kernel
from ..runtime.library import Library
from .compare import compare
from .poison import poison
from .report import CheckResult

Array = npt.NDArray[np.generic]


def check_kernels(
    structure: ModuleOp, loops: ModuleOp, library: Library, seed: int
) -> list[CheckResult]:
    """Every kernel of `structure` (linalg level) against its compiled form.

    `loops` has the same kernels over memrefs; it tells how weights are packed.
    """
    compiled = {op.sym_name.data: op for op in loops.ops if isinstance(op, FuncOp)}
    results: list[CheckResult] = []
    for op in structure.ops:
        if isinstance(op, FuncOp) and op.sym_name.data in compiled and not is_main(op):
            rng = np.random.default_rng([seed, len(results)])
            results += check_kernel(op, compiled[op.sym_name.data], library, rng)
    return results


def is_main(func: FuncOp) -> bool:
    """Whether `func` is the program and not a kernel."""
    return func.sym_name.data == "main"


def check_kernel(
    func: FuncOp, compiled: FuncOp, library: Library, rng: np.random.Generator
) -> list[CheckResult]:
    """One row per output of the kernel."""
    inputs = [random_argument(argument, rng) for argument in func.body.block.args]
    references = evaluate_kernel(func, inputs, dtype=np.float64)
    natives = evaluate_kernel(func, inputs, dtype=np.float32)
    outputs = [
        poison(tensor_shape(type), numpy_dtype(tensor_element(type)))
        for type in func.function_type.outputs
    ]
    library.run_kernel(func.sym_name.data, [*packed_arguments(compiled, inputs), *outputs])
    length = reduction_length(func)
    name = func.sym_name.data
    return [
        compare("kernel", name if len(outputs) == 1 else f"{name}[{k}]", *arrays, length)
        for k, arrays in enumerate(zip(outputs, references, natives, strict=True))
    ]


def packed_arguments(compiled: FuncOp, inputs: Sequence[Array]) -> list[Array]:
    """`inputs` as the compiled kernel reads them."""
    attributes = compiled.arg_attrs.data if compiled.arg_attrs is not None else ()
    packed: list[Array] = []
    for position, array in enumerate(inputs):
        pack = attributes[position].data.get("tilecast.pack") if attributes else None
        if isinstance(pack, PackAttr):
            argument = compiled.body.block.args[position]
            array = pack_array(array, pack, static_shape(argument))
        packed.append(np.ascontiguousarray(array))
    return packed


def random_argument(argument: BlockArgument, rng: np.random.Generator) -> Array:
    """Random values for a kernel argument: non-zero floats, integers that are valid indices."""
    shape, element = tensor_shape(argument.type), tensor_element(argument.type)
    dtype = numpy_dtype(element)
    if isinstance(element, AnyFloat):
        magnitude = rng.uniform(0.1, 2.0, shape)
        sign = np.where(rng.random(shape) < 0.5, -1.0, 1.0)
        return (magnitude * sign).astype(dtype)
    if element == i1:
        # Mostly true, so that a mask leaves something in every row.
        return rng.random(shape) < 0.8
    limits = [limit for limit in index_limits(argument)]
    high = min(limits, default=8)
    return rng.integers(0 if limits else 1, max(1, high), shape, dtype=dtype, endpoint=not limits)


def index_limits(argument: SSAValue) -> Iterator[int]:
    """Extents of the tables that values of an integer argument may index.

    Follows the data from the argument through generics to every `tensor.extract` it can reach;
    arithmetic on the way is not modelled, so the smallest extent bounds them all.
    """
    seen: set[SSAValue] = set()
    pending: list[SSAValue] = [argument]
    while pending:
        value = pending.pop()
        if value in seen:
            continue
        seen.add(value)
        for use in value.uses:
            op = use.operation
            if isinstance(op, tensor.ExtractOp):
                if use.index >= 1:
                    yield tensor_shape(op.tensor.type)[use.index - 1]
                continue
            if isinstance(op, linalg.GenericOp):
                pending.append(op.body.block.args[use.index])
            elif isinstance(op, linalg.YieldOp):
                parent = op.parent_op()
                assert parent is not None
                pending.append(parent.results[use.index])
            pending += op.results if not isinstance(op, linalg.GenericOp) else ()


def reduction_length(func: FuncOp) -> int:
    """The longest sum in the kernel: largest product of reduction extents of one generic."""
    longest = 1
    for op in func.walk():
        if isinstance(op, linalg.GenericOp):
            longest = max(longest, math.prod(reduction_extents(op)))
    return longest


def reduction_extents(op: linalg.GenericOp) -> list[int]:
    """Extents of the reduction loops, read off the operands whose maps name them plainly."""
    extents: dict[int, int] = {}
    for operand, attribute in zip(op.operands, op.indexing_maps, strict=True):
        if not isinstance(operand.type, TensorType):
            continue
        for extent, result in zip(tensor_shape(operand.type), attribute.data.results, strict=True):
            dims = result.used_dims()
            if len(dims) == 1 and str(result) == f"d{next(iter(dims))}":
                extents[next(iter(dims))] = extent
    kinds = [iterator.data for iterator in op.iterator_types]
    return [
        extents.get(dim, 1)
        for dim, kind in enumerate(kinds)
        if kind == linalg.IteratorType.REDUCTION
    ]


def tensor_shape(type: Attribute) -> tuple[int, ...]:
    """The static shape of a tensor type."""
    assert isinstance(type, TensorType)
    return tuple(type.get_shape())


def tensor_element(type: Attribute) -> Attribute:
    """The element type of a tensor type."""
    assert isinstance(type, TensorType)
    element: Attribute = type.element_type
    return element
