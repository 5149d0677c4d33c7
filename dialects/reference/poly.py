"""Interpreter of `poly.scop`, one statement instance at a time: the oracle of every schedule.

Without an order, instances run in the order of the statements' positions: where there are none, one
statement after the other, each over its domain in lexicographic order.
Slow: a few microseconds per scalar operation.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from itertools import product
from operator import itemgetter
from typing import Any

import islpy
import numpy as np
import numpy.typing as npt
from xdsl.dialects import arith, memref
from xdsl.dialects.builtin import MemRefType
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.ir.affine import (
    AffineBinaryOpExpr,
    AffineBinaryOpKind,
    AffineConstantExpr,
    AffineDimExpr,
    AffineExpr,
    AffineMap,
    AffineSymExpr,
)

from ..errors import LoweringError
from ..poly import ArrayOp, IndexOp, ParamOp, ScopOp, StatementOp, YieldOp, extents_of
from .loop_arithmetic import MEANINGS, dtype_of
from .number_types import FloatType, number_of, numpy_type
from .scalar_ops import CONVERSIONS

Array = npt.NDArray[Any]
Instance = tuple[str, tuple[int, ...]]
Step = Callable[[list[Any], Sequence[int]], Any]

isl: Any = islpy  # its stubs are incomplete
AFFINE_OPERATIONS: dict[AffineBinaryOpKind, Callable[[int, int], int]] = {
    AffineBinaryOpKind.Add: operator.add,
    AffineBinaryOpKind.Mul: operator.mul,
    AffineBinaryOpKind.Mod: operator.mod,
    AffineBinaryOpKind.FloorDiv: operator.floordiv,
    AffineBinaryOpKind.CeilDiv: lambda a, b: -(-a // b),
}


def run_scop(
    scop: ScopOp,
    arrays: Sequence[Array],
    order: Iterable[Instance] | None = None,
    float_type: FloatType | None = None,
    parameters: Sequence[int] = (),
) -> None:
    """Execute every statement instance on one contiguous array per scop argument.

    `parameters` has the values of the scop's parameters.

    Outputs are written in place, temporaries start poisoned. `order` lists (statement, instance)
    pairs and replaces the original order. Floats are computed in the element type of the IR, or
    all in `float_type`; an array of float elements must have that type.
    """
    check_parameters(scop, parameters)
    memory = _Memory(scop, arrays, float_type, parameters)
    runners = {s.sym_name.data: memory.runner(s) for s in scop.statements}
    with np.errstate(all="ignore"):
        for statement, instance in original_order(scop, parameters) if order is None else order:
            runners[statement](instance)


def check_parameters(scop: ScopOp, parameters: Sequence[int]) -> None:
    """LoweringError where the kernel is not defined for these values of its parameters."""
    names = scop.parameters
    if len(parameters) != len(names):
        raise LoweringError(f"expected parameters {', '.join(names)}, found {len(parameters)}")
    if scop.context is not None and bind(isl.Set(scop.context.data), parameters).is_empty():
        found = ", ".join(f"{n} = {v}" for n, v in zip(names, parameters, strict=True))
        raise LoweringError(f"the kernel is not defined for {found}: {scop.context.data}")


def bind(domain: Any, parameters: Sequence[int]) -> Any:
    """The part of an isl set over s0, s1, ... for these values of them."""
    for k, value in enumerate(parameters):
        position = domain.find_dim_by_name(isl.dim_type.param, f"s{k}")
        if position >= 0:
            domain = domain.fix_val(isl.dim_type.param, position, isl.Val(value))
    return domain.project_out(isl.dim_type.param, 0, domain.dim(isl.dim_type.param))


def original_order(scop: ScopOp, parameters: Sequence[int] = ()) -> Iterator[Instance]:
    """Every (statement, instance) pair in original program order."""
    timed = (
        _timed_instances(s, position, parameters)
        for s, position in zip(scop.statements, scop.positions, strict=True)
    )
    yield from (entry for _, entry in merge(*timed))


def _timed_instances(
    statement: StatementOp, position: Sequence[int], parameters: Sequence[int]
) -> Iterator[tuple[list[int], Instance]]:
    """The instances of a statement with their time (p0, i0, p1, i1, ..., pn)."""
    first, *others = position
    for instance in instances_of(statement, parameters):
        steps = zip(instance, others, strict=True)
        time = [first, *(value for step in steps for value in step)]
        yield time, (statement.sym_name.data, instance)


def instances_of(
    statement: StatementOp, parameters: Sequence[int] = ()
) -> Iterable[tuple[int, ...]]:
    """The points of the statement's domain in lexicographic order."""
    domain = bind(isl.Set(statement.domain.data), parameters)
    rank = domain.dim(isl.dim_type.set)
    if domain.is_empty():
        return []
    if domain.is_box():
        low = [domain.dim_min_val(d).to_python() for d in range(rank)]
        high = [domain.dim_max_val(d).to_python() for d in range(rank)]
        return product(*(range(a, b + 1) for a, b in zip(low, high, strict=True)))
    points: list[tuple[int, ...]] = []

    def collect(point: Any) -> None:
        values = (point.get_coordinate_val(isl.dim_type.set, d) for d in range(rank))
        points.append(tuple(v.to_python() for v in values))

    domain.foreach_point(collect)
    return sorted(points)


class _Memory:
    """The arrays of a scop, and functions that run one instance on them."""

    def __init__(
        self,
        scop: ScopOp,
        arrays: Sequence[Array],
        float_type: FloatType | None,
        parameters: Sequence[int],
    ) -> None:
        arguments = scop.body.block.args
        if len(arrays) != len(arguments):
            raise LoweringError(f"expected {len(arguments)} arrays, found {len(arrays)}")
        self.float_type = float_type
        self.parameters = parameters
        self.arrays: dict[SSAValue, Array] = {}
        for argument, array in zip(arguments, arrays, strict=True):
            if not array.flags.c_contiguous:
                raise LoweringError(f"argument {argument.name_hint}: expected a contiguous array")
            viewed = array.view(self.dtype(argument.type)) if array.size else array
            self.arrays[argument] = viewed.reshape(self.shape(argument))
        for op in scop.body.block.ops:
            if isinstance(op, ArrayOp):
                self.arrays[op.result] = _poisoned(
                    self.shape(op.result), self.dtype(op.result.type)
                )

    def shape(self, array: SSAValue) -> tuple[int, ...]:
        """The shape of an array of the scop."""
        return tuple(extent.eval([], self.parameters) for extent in extents_of(array))

    def dtype(self, type: Attribute) -> np.dtype[Any]:
        """The numpy type of an element type, or of the elements of a memref."""
        if self.float_type is None:
            return dtype_of(type)
        element = type.element_type if isinstance(type, MemRefType) else type
        return numpy_type(element, self.float_type)

    def runner(self, statement: StatementOp) -> Callable[[Sequence[int]], None]:
        """A function that executes one instance of `statement`.

        What the IR says is looked up once, here: values have places in a list, accesses are
        functions.
        """
        name, block = statement.sym_name.data, statement.body.block
        target = self.arrays[statement.target]
        write = self.access(name, target, statement.write.data)
        reads = []
        for source, access in zip(statement.sources, statement.read_maps, strict=True):
            array = self.arrays[source]
            reads.append((array, self.access(name, array, access)))
        places: dict[SSAValue, int] = {value: k for k, value in enumerate(block.args)}
        steps: list[Step] = []
        for op in block.ops:
            if isinstance(op, YieldOp):
                result = places[op.value]
                break
            used = [places[value] for value in op.operands if value not in self.arrays]
            steps.append(self.step(name, op, used))
            places[op.results[0]] = len(places)

        def run(instance: Sequence[int]) -> None:
            frame = [array[place(instance)] for array, place in reads]
            for step in steps:
                frame.append(step(frame, instance))
            target[write(instance)] = frame[result]

        return run

    def access(
        self, name: str, array: Array, access: AffineMap
    ) -> Callable[[Sequence[int]], tuple[int, ...]]:
        """The function from instances to where `access` leads, checked."""
        functions = [affine_function(result, self.parameters) for result in access.results]
        return lambda instance: _inside(name, array, [f(instance) for f in functions])

    def step(self, name: str, op: Operation, used: Sequence[int]) -> Step:
        """The function from the values so far, and the instance, to the result of an op of a body.

        `used` are the places of its operands, but for arrays.
        """
        if isinstance(op, IndexOp):
            dim = op.dim.data
            return lambda frame, instance: np.int64(instance[dim])
        if isinstance(op, ParamOp):
            parameter = np.int64(self.parameters[op.index.data])
            return lambda frame, instance: parameter
        if isinstance(op, memref.LoadOp):
            array = self.arrays[op.memref]
            return lambda frame, instance: array[
                _inside(name, array, [int(frame[k]) for k in used])
            ]
        if self.float_type is not None and isinstance(op, arith.ConstantOp):
            constant = number_of(op.value, op.result.type, self.float_type)
            return lambda frame, instance: constant
        dtype = self.dtype(op.results[0].type)
        number = dtype.type
        if self.float_type is not None and type(op) in CONVERSIONS:
            convert = CONVERSIONS[type(op)]
            return lambda frame, instance: number(convert(np.asarray(frame[used[0]]), dtype))
        meaning = MEANINGS.get(type(op))
        if meaning is None:
            raise LoweringError(f"statement {name}: no scalar meaning for {op.name}")
        return lambda frame, instance: number(meaning(op, *[frame[k] for k in used]))


def affine_function(expr: AffineExpr, parameters: Sequence[int]) -> Callable[[Sequence[int]], int]:
    """The value of `expr` as a function of its dims, for these values of its symbols."""
    match expr:
        case AffineDimExpr():
            return itemgetter(expr.position)
        case AffineSymExpr():
            symbol = parameters[expr.position]
            return lambda dims: symbol
        case AffineConstantExpr():
            constant = expr.value
            return lambda dims: constant
        case AffineBinaryOpExpr():
            left = affine_function(expr.lhs, parameters)
            right = affine_function(expr.rhs, parameters)
            combine = AFFINE_OPERATIONS[expr.kind]
            return lambda dims: combine(left(dims), right(dims))
        case _:
            raise LoweringError(f"{expr} is not affine")


def _poisoned(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """An array whose elements spoil what reads them before they are written."""
    if dtype.kind == "f":
        return np.full(shape, np.nan, dtype)
    return np.full(shape, dtype.kind == "b" or 77, dtype)


def _inside(name: str, array: Array, index: Sequence[int]) -> tuple[int, ...]:
    for i, n in zip(index, array.shape, strict=True):
        if not 0 <= i < n:
            raise LoweringError(f"statement {name}: {tuple(index)} is outside of {array.shape}")
    return tuple(index)
