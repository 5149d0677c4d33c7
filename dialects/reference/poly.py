"""Interpreter of `poly.scop`, one statement instance at a time: the oracle of every schedule.

Without an order, instances run in the order of the statements' positions: where there are none, one
statement after the other, each over its domain in lexicographic order.
Slow: a few microseconds per scalar operation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from itertools import product
from typing import Any

import islpy
import numpy as np
import numpy.typing as npt
from xdsl.dialects import arith, memref
from xdsl.dialects.builtin import MemRefType
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.ir.affine import AffineMap

from ..errors import LoweringError
from ..poly import ArrayOp, IndexOp, ParamOp, ScopOp, StatementOp, YieldOp, extents_of
from .loop_arithmetic import MEANINGS, dtype_of
from .number_types import FloatType, number_of, numpy_type
from .scalar_ops import CONVERSIONS

Array = npt.NDArray[Any]
Instance = tuple[str, tuple[int, ...]]

isl: Any = islpy  # its stubs are incomplete


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
        """A function that executes one instance of `statement`."""
        name = statement.sym_name.data
        reads = list(
            zip(statement.body.block.args, statement.sources, statement.read_maps, strict=True)
        )
        body = list(statement.body.block.ops)
        target = self.arrays[statement.target]

        def run(instance: Sequence[int]) -> None:
            frame: dict[SSAValue, Any] = {}
            for argument, source, access in reads:
                array = self.arrays[source]
                frame[argument] = array[self.element(name, array, access, instance)]
            for op in body:
                if isinstance(op, YieldOp):
                    at = self.element(name, target, statement.write.data, instance)
                    target[at] = frame[op.value]
                else:
                    frame[op.results[0]] = self.scalar(name, op, frame, instance)

        return run

    def element(
        self, name: str, array: Array, access: AffineMap, instance: Sequence[int]
    ) -> tuple[int, ...]:
        """Where `access` leads from `instance`, checked."""
        symbols = self.parameters if access.num_symbols else ()
        return _inside(name, array, access.eval(instance, symbols))

    def scalar(
        self, name: str, op: Operation, frame: dict[SSAValue, Any], instance: Sequence[int]
    ) -> Any:
        """The result of one op of a body."""
        if isinstance(op, IndexOp):
            return np.int64(instance[op.dim.data])
        if isinstance(op, ParamOp):
            return np.int64(self.parameters[op.index.data])
        if isinstance(op, memref.LoadOp):
            array = self.arrays[op.memref]
            return array[_inside(name, array, [int(frame[i]) for i in op.indices])]
        operands = [frame[v] for v in op.operands]
        dtype = self.dtype(op.results[0].type)
        if self.float_type is not None and isinstance(op, arith.ConstantOp):
            return number_of(op.value, op.result.type, self.float_type)
        if self.float_type is not None and type(op) in CONVERSIONS:
            return dtype.type(CONVERSIONS[type(op)](np.asarray(operands[0]), dtype))
        if type(op) not in MEANINGS:
            raise LoweringError(f"statement {name}: no scalar meaning for {op.name}")
        return dtype.type(MEANINGS[type(op)](op, *operands))


def _poisoned(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """An array whose elements spoil what reads them before they are written."""
    if dtype.kind == "f":
        return np.full(shape, np.nan, dtype)
    return np.full(shape, dtype.kind == "b" or 77, dtype)


def _inside(name: str, array: Array, index: Sequence[int]) -> tuple[int, ...]:
    if any(not 0 <= i < n for i, n in zip(index, array.shape, strict=True)):
        raise LoweringError(f"statement {name}: {tuple(index)} is outside of {array.shape}")
    return tuple(index)
