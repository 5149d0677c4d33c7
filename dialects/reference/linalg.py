"""Evaluate kernels at the linalg level with numpy: the oracle of everything built from them.

Floats are computed in one chosen type (float64 unless said otherwise; None for the type that each
op names), integers exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from xdsl.dialects import arith
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.dialects.linalg.ops import FillOp, GenericOp
from xdsl.dialects.tensor import EmptyOp
from xdsl.ir import Operation, SSAValue

from ..errors import LoweringError
from ..graph import (
    CatOp,
    FullOp,
    IotaOp,
    LaunchOp,
    PadOp,
    ReshapeOp,
    ViewOp,
    WeightOp,
    element_of,
    shape_of,
)
from .affine_reads import read_through
from .generic import evaluate_generic
from .number_types import FloatType, is_float_type, number_of, numpy_type
from .opaque import OPAQUE_MEANINGS

Array = npt.NDArray[Any]
Values = dict[SSAValue, Array]


def evaluate_kernel(
    func: FuncOp, inputs: Sequence[Array], dtype: FloatType = np.float64
) -> list[Array]:
    """Results of a kernel of linalg ops; every float in `dtype`."""
    return _Interpreter(dtype, {}, {}).run(func, inputs)


def evaluate(
    module: ModuleOp,
    weights: Mapping[str, Array],
    inputs: Sequence[Array],
    dtype: FloatType = np.float64,
) -> list[Array]:
    """Results of `@main`, whose launches run the kernels of `module`."""
    functions = {op.sym_name.data: op for op in module.ops if isinstance(op, FuncOp)}
    return _Interpreter(dtype, functions, weights).run(functions["main"], inputs)


class _Interpreter:
    """Runs functions op by op; `functions` and `weights` resolve launches and weight symbols."""

    def __init__(
        self, dtype: FloatType, functions: Mapping[str, FuncOp], weights: Mapping[str, Array]
    ) -> None:
        self.dtype, self.functions, self.weights = dtype, functions, weights

    def run(self, func: FuncOp, inputs: Sequence[Array]) -> list[Array]:
        """The results of `func` on `inputs`."""
        arguments = func.body.block.args
        values: Values = {}
        for argument, array in zip(arguments, inputs, strict=True):
            if np.shape(array) != shape_of(argument):
                raise LoweringError(
                    f"{func.sym_name.data}: expected an argument of shape {shape_of(argument)}, "
                    f"found {np.shape(array)}"
                )
            values[argument] = self.typed(array, argument)
        with np.errstate(all="ignore"):
            for op in func.body.block.ops:
                if isinstance(op, ReturnOp):
                    return [values[value] for value in op.arguments]
                for result, array in zip(op.results, self.op(op, values), strict=True):
                    values[result] = array
        raise LoweringError(f"{func.sym_name.data}: no func.return")

    def typed(self, array: Array, value: SSAValue) -> Array:
        """`array` in the numpy type that stands for the elements of `value`."""
        return np.ascontiguousarray(array, numpy_type(element_of(value), self.dtype)).reshape(
            np.shape(array)
        )

    def op(self, op: Operation, values: Values) -> list[Array]:
        """The results of one op outside of bodies."""
        if isinstance(op, LaunchOp):
            callee = self.functions[op.kernel.root_reference.data]
            return self.run(callee, [values[value] for value in op.arguments])
        return [self.single(op, values)]

    def single(self, op: Operation, values: Values) -> Array:
        """The only result of `op`."""
        match op:
            case GenericOp():
                return evaluate_generic(op, values, self.dtype)
            case arith.ConstantOp():
                return np.asarray(number_of(op.value, op.result.type, self.dtype))
            case EmptyOp():
                return self.poison(op.tensor)
            case FillOp():
                return np.full(shape_of(op.res[0]), values[op.inputs[0]])
            case WeightOp():
                return self.typed(self.weights[op.symbol.root_reference.data], op.result)
            case ReshapeOp():
                return values[op.source].reshape(shape_of(op.result))
            case ViewOp():
                return self.view(op, values[op.source])
            case CatOp():
                return np.concatenate([values[v] for v in op.operands_], axis=op.dim.data)
            case PadOp():
                return self.pad(op, values[op.source])
            case FullOp():
                number = number_of(op.value, element_of(op.result), self.dtype)
                return np.full(shape_of(op.result), number)
            case IotaOp():
                count = np.arange(shape_of(op.result)[0])
                return self.typed(op.start.data + op.step.data * count, op.result)
            case _ if type(op) in OPAQUE_MEANINGS:
                operands = [values[value] for value in op.operands]
                return self.typed(OPAQUE_MEANINGS[type(op)](op, *operands), op.results[0])
            case _:
                raise LoweringError(f"{op.name} cannot be evaluated at the linalg level")

    def poison(self, value: SSAValue) -> Array:
        """Elements that spoil any result that reads them."""
        dtype = numpy_type(element_of(value), self.dtype)
        poison = np.nan if is_float_type(dtype) else dtype.type(1) if dtype.kind == "b" else 77
        return np.full(shape_of(value), poison, dtype)

    def view(self, op: ViewOp, source: Array) -> Array:
        """source[map(i)] for every result index i."""
        shape = shape_of(op.result)
        read = read_through(source, op.map.data, shape)
        return np.array(np.broadcast_to(read, shape), order="C")

    def pad(self, op: PadOp, source: Array) -> Array:
        """`source` inside a frame of the padding value."""
        result = np.full(
            shape_of(op.result), number_of(op.value, element_of(op.result), self.dtype)
        )
        window = tuple(
            slice(low.data, low.data + extent)
            for low, extent in zip(op.low, source.shape, strict=True)
        )
        result[window] = source
        return result
