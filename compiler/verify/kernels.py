"""Check each unique kernel by itself: linalg meaning in float64 against the compiled function.

Inputs are fresh random numbers away from zero, outputs are poisoned before the call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from xdsl.dialects import tensor
from xdsl.dialects.builtin import AnyFloat, ModuleOp, TensorType, i1
from xdsl.dialects.func import FuncOp
from xdsl.dialects.linalg.ops import GenericOp, YieldOp
from xdsl.ir import Attribute, BlockArgument, SSAValue

from ...dialects.graph.control import is_program
from ...dialects.graph.opaque import OpaqueOp
from ...dialects.reference.linalg import evaluate_kernel
from ...dialects.reference.number_types import is_float_type, numpy_type
from ...dialects.sizes import value_at
from ...passes.loops.kernel_interface import KernelInterface
from ...passes.loops.pack_weights import pack_array
from ..runtime.library import Library
from .compare import CONSTANT_ROUNDINGS, compare
from .near_ties import RUNS, spread_of
from .poison import poison
from .reduction_length import reduction_length
from .report import CheckResult
from .sizes import at_sizes, size_points, symbols_in

Array = npt.NDArray[np.generic]


NO_SIZES: Mapping[str, int] = {}


def check_kernels(
    structure: ModuleOp, loops: ModuleOp, library: Library, seed: int
) -> list[CheckResult]:
    """Every kernel of `structure` (linalg level) against its compiled form.

    `loops` has the same kernels over memrefs; it tells how weights are packed.
    """
    compiled = {op.sym_name.data: op for op in loops.ops if isinstance(op, FuncOp)}
    results: list[CheckResult] = []
    for op in structure.ops:
        if isinstance(op, FuncOp) and op.sym_name.data in compiled and not is_program(op):
            rng = np.random.default_rng([seed, len(results)])
            for values in size_points(symbols_in(op), rng):
                results += check_kernel(op, compiled[op.sym_name.data], library, rng, values)
    return results


class RunsKernels(Protocol):
    """What runs a kernel by name: a built library, or an interpreter of its loops."""

    def run_kernel(self, name: str, arrays: list[Array], sizes: Sequence[int] = ()) -> None:
        """Call a kernel on its sizes and contiguous arrays, outputs last."""


@dataclass(frozen=True)
class Evaluation:
    """Arguments of a kernel, and its results in float64 and in its own types."""

    inputs: Sequence[Array]
    references: Sequence[Array]
    natives: Sequence[Array]


def check_kernel(
    func: FuncOp,
    compiled: FuncOp,
    library: RunsKernels,
    rng: np.random.Generator,
    values: Mapping[str, int] = NO_SIZES,
) -> list[CheckResult]:
    """One row per output of the kernel, for given values of its symbols."""
    func = at_sizes(func, values)
    return check_evaluated(func, compiled, library, evaluated(func, rng), values)


def evaluated(func: FuncOp, rng: np.random.Generator) -> Evaluation:
    """What `func` means for random arguments."""
    inputs, references = random_evaluation(func, rng)
    return Evaluation(inputs, references, evaluate_kernel(func, inputs, dtype=None))


def check_evaluated(
    func: FuncOp,
    compiled: FuncOp,
    library: RunsKernels,
    evaluation: Evaluation,
    values: Mapping[str, int] = NO_SIZES,
) -> list[CheckResult]:
    """The compiled kernel on the arguments of an evaluation; one row per output."""
    interface = KernelInterface(compiled)
    arrays: dict[int, Array] = {}
    for position, array in zip(interface.read, evaluation.inputs, strict=True):
        arrays[position] = packed_argument(interface, position, array)
    for position, reference in zip(interface.written, evaluation.references, strict=True):
        element = interface.type_of(position).element_type
        arrays[position] = poison(reference.shape, storage_type(element))
    for position in interface.scratch:
        type = interface.type_of(position)
        arrays[position] = poison(tuple(type.get_shape()), storage_type(type.element_type))
        if position in interface.semaphores:
            arrays[position].fill(0)
    sizes = [value_at(size, values) for size in interface.size_values()]
    library.run_kernel(func.sym_name.data, [arrays[k] for k in sorted(arrays)], sizes)
    outputs = [
        arrays[position].reshape(reference.shape)  # kernels may collapse dims
        for position, reference in zip(interface.written, evaluation.references, strict=True)
    ]
    name, length = func.sym_name.data, reduction_length(func)
    if values:
        name += f" at {', '.join(f'{k}={v}' for k, v in values.items())}"
    names = [name] if len(outputs) == 1 else [f"{name}[{k}]" for k in range(len(outputs))]
    versions = list(zip(outputs, evaluation.references, evaluation.natives, strict=True))
    rows = [compare("kernel", names[k], *versions[k], length) for k in range(len(outputs))]
    if all(row.passed for row in rows):
        return rows
    runs = possible_references(func, evaluation.inputs)
    spreads = [
        spread_of(version[1], [run[k] for run in runs]) for k, version in enumerate(versions)
    ]
    return [compare("kernel", names[k], *versions[k], length, s) for k, s in enumerate(spreads)]


def random_evaluation(
    func: FuncOp, rng: np.random.Generator
) -> tuple[list[Array], Sequence[Array]]:
    """Arguments, and the results in float64.

    Integers that a kernel adds up before it reads a table with them can leave the table: they are
    drawn again from a smaller range until they do not.
    """
    for shrink in range(64):
        inputs = [random_argument(argument, rng, shrink) for argument in func.body.block.args]
        try:
            return inputs, evaluate_kernel(func, inputs, dtype=np.float64)
        except IndexError as error:
            last = error
    raise last


def possible_references(func: FuncOp, inputs: Sequence[Array]) -> list[list[Array]]:
    """Results in float64 for inputs off by rounding errors, several times: where numbers that a
    kernel computes cancel, or meet a root near zero, these are all that is known of its result."""
    rng = np.random.default_rng(0)

    def disturbed(x: Array) -> Array:
        if not is_float_type(x.dtype):
            return x
        eps = np.finfo(np.float64 if x.dtype == np.float64 else np.float32).eps
        errors = CONSTANT_ROUNDINGS * eps * rng.uniform(-1, 1, x.shape)
        return np.asarray(x.astype(np.float64) * (1 + errors))

    return [
        evaluate_kernel(func, [disturbed(x) for x in inputs], dtype=np.float64) for _ in range(RUNS)
    ]


def packed_argument(interface: KernelInterface, position: int, array: Array) -> Array:
    """`array` as the compiled kernel reads it."""
    pack = interface.packs.get(position)
    if pack is not None:
        array = pack_array(array, pack, interface.type_of(position).get_shape())
    type = interface.type_of(position)
    stored = np.ascontiguousarray(array).reshape(-1).view(storage_type(type.element_type))
    return stored.reshape(type.get_shape())  # (-1,) where it depends on sizes


def storage_type(element: Attribute) -> np.dtype[Any]:
    """The numpy type of an element in memory."""
    return numpy_type(element, None)


def random_argument(argument: BlockArgument, rng: np.random.Generator, shrink: int = 0) -> Array:
    """Random values for an argument: what its op asks for, non-zero floats, valid indices.

    `shrink` halves the range of indices as often as it says.
    """
    shape, element = tensor_shape(argument.type), tensor_element(argument.type)
    dtype = storage_type(element)
    for use in argument.uses:
        if isinstance(use.operation, OpaqueOp):
            sample = use.operation.sample_operand(use.index, rng)
            if sample is not None:
                return sample
    if isinstance(element, AnyFloat):
        wide = np.float64 if dtype == np.float64 else np.float32
        numbers = np.asarray(rng.random(shape, wide) * wide(3.8) - wide(1.9))
        numbers += np.copysign(wide(0.1), numbers)  # magnitudes from 0.1 to 2
        return np.asarray(numbers * wide(typical_magnitude(argument))).astype(dtype)
    if element == i1:
        # Mostly true, so that a mask leaves something in every row.
        return rng.random(shape) < 0.8
    limits = list(index_limits(argument))
    high = min(limits, default=8) >> shrink
    return rng.integers(0 if limits else 1, max(1, high), shape, dtype=dtype, endpoint=not limits)


def typical_magnitude(argument: SSAValue) -> float:
    """The smallest that an opaque op expects of `argument`."""
    uses = [use for use in argument.uses if isinstance(use.operation, OpaqueOp)]
    return min((use.operation.magnitude(use.index) for use in uses), default=1.0)


def index_limits(argument: SSAValue) -> Iterator[int]:
    """Extents of the tables that values of an integer argument may index.

    Follows the data from the argument through generics to every `tensor.extract` and opaque op it
    can reach; arithmetic on the way is not modelled, so the smallest extent bounds them all.
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
            if isinstance(op, tensor.ExtractOp) and use.index:
                yield tensor_shape(op.tensor.type)[use.index - 1]
                continue  # what is read there is something else
            if isinstance(op, OpaqueOp):
                extent = op.index_extent(use.index)
                if extent is not None:
                    yield extent
                continue
            if isinstance(op, GenericOp):
                pending.append(op.body.block.args[use.index])
            elif isinstance(op, YieldOp):
                parent = op.parent_op()
                assert parent is not None
                pending.append(parent.results[use.index])
            pending += op.results if not isinstance(op, GenericOp) else ()


def tensor_shape(type: Attribute) -> tuple[int, ...]:
    """The static shape of a tensor type."""
    assert isinstance(type, TensorType)
    return tuple(type.get_shape())


def tensor_element(type: Attribute) -> Attribute:
    """The element type of a tensor type."""
    assert isinstance(type, TensorType)
    element: Attribute = type.element_type
    return element
