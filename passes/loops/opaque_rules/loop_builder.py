"""Write loops by hand: scalar ops as in `ScalarBuilder`, plus memory, loops and branches.

A body is a function of the builder of its block and of the values the block is given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

from xdsl.builder import Builder
from xdsl.dialects import arith, memref, scf
from xdsl.dialects.builtin import IndexType, IntegerAttr, MemRefType, UnitAttr
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.rewriter import InsertPoint

from ....dialects.integers import is_unsigned
from ....dialects.sizes import Size, Symbol, has_symbols
from ...graph.linalg_rules.scalar_builder import ScalarBuilder

Bound = SSAValue | int
Branch = Callable[["LoopBuilder"], Sequence[SSAValue]]
PARALLEL_ELEMENTS = 4096  # with fewer, starting threads costs more than they save
ATOMIC_KINDS = {"add": 1, "max": 4, "min": 7}  # of signed integers, as MLIR numbers them


@dataclass
class Sizes:
    """What is known when a kernel runs: its symbols, and the extents of arrays that are flat."""

    values: dict[Symbol, SSAValue] = field(default_factory=dict)
    extents: dict[SSAValue, tuple[int, ...]] = field(default_factory=dict)


class LoopBuilder(ScalarBuilder):
    """Appends to one block; loops and branches get a builder of their own."""

    def __init__(self, block: Block, is_parallel: bool, sizes: Sizes) -> None:
        super().__init__(Builder(InsertPoint.at_end(block)))
        self.is_parallel, self.sizes = is_parallel, sizes

    def inner(self, block: Block, is_parallel: bool = False) -> LoopBuilder:
        """The builder of a block inside."""
        return LoopBuilder(block, is_parallel, self.sizes)

    def index(self, value: Bound) -> SSAValue:
        """`value` as an index."""
        if isinstance(value, SSAValue):
            return value
        number: object = value
        if not isinstance(number, Size):
            return self.constant(value, IndexType())
        total: SSAValue | None = None
        for monomial, factor in number.terms:
            term = None if factor == 1 and monomial else self.constant(factor, IndexType())
            for symbol in monomial:
                size = self.sizes.values[symbol]
                term = size if term is None else self.mul(term, size)
            assert term is not None
            total = term if total is None else self.add(total, term)
        return cast(SSAValue, total)

    def place(self, array: SSAValue, position: Sequence[Bound]) -> list[SSAValue]:
        """The indices of an element: one number for an array whose extents depend on sizes."""
        extents = self.sizes.extents.get(array)
        if extents is None:
            return [self.index(p) for p in position]
        return [row_major(self, [self.index(p) for p in position], extents)]

    def load(self, source: SSAValue, position: Sequence[Bound]) -> SSAValue:
        """source[position]; ui8 as the number that it is computed with."""
        value = self.insert(memref.LoadOp.get(source, self.place(source, position)))
        return self.widen(value) if is_unsigned(value.type) else value

    def store(self, value: SSAValue, target: SSAValue, position: Sequence[Bound]) -> None:
        """target[position] = value."""
        assert isinstance(target.type, MemRefType)
        if is_unsigned(target.type.element_type):
            value = self.narrow(value, target.type.element_type)
        self._builder.insert(memref.StoreOp.get(value, target, self.place(target, position)))

    def update(self, fn: str, value: SSAValue, target: SSAValue, position: Sequence[Bound]) -> None:
        """target[position] = fn(target[position], value) at once, whatever others do to it."""
        kind = IntegerAttr(ATOMIC_KINDS[fn], 64)
        operands: list[SSAValue | list[SSAValue]] = [value, target, self.place(target, position)]
        self._builder.insert(
            memref.AtomicRMWOp.build(
                operands=operands, properties={"kind": kind}, result_types=[value.type]
            )
        )

    def append(self, op: Operation) -> None:
        """Append `op`, which has no result."""
        self._builder.insert(op)

    def local(self, shape: Sequence[int], element: Attribute) -> SSAValue:
        """A small array that lives as long as the enclosing iteration."""
        return self.insert(memref.AllocaOp.get(element, shape=shape))

    def loop(
        self,
        lower: Bound,
        upper: Bound,
        body: Callable[..., Sequence[SSAValue] | None],
        carried: Sequence[SSAValue] = (),
        step: Bound = 1,
        shares: bool = False,
        called: bool = False,
    ) -> list[SSAValue]:
        """for i in lower..upper: carried = body(b, i, *carried). What is carried after the last.

        With `shares` the loops of the body may be parallel; with `called`, of a body that carries
        nothing, it is a function that is not inlined.
        """
        block = Block(arg_types=[IndexType(), *(value.type for value in carried)])
        inner = self.inner(block, is_parallel=shares and self.is_parallel)
        inner.finish(scf.YieldOp(*(body(inner, *block.args) or ())))
        first, last, by = (self.index(value) for value in (lower, upper, step))
        op = self._builder.insert(scf.ForOp(first, last, by, carried, Region(block)))
        if called:
            op.attributes["tilecast.called"] = UnitAttr()
        return list(op.results)

    def parallel(
        self,
        lower: Bound,
        upper: Bound,
        body: Callable[[LoopBuilder, SSAValue], None],
        step: Bound = 1,
    ) -> None:
        """Independent iterations; on one thread where the kernel has little to do."""
        if not self.is_parallel:
            self.loop(lower, upper, body, (), step)
            return
        block = Block(arg_types=[IndexType()])
        inner = self.inner(block)
        body(inner, block.args[0])
        inner.finish(scf.ReduceOp())
        first, last, by = (self.index(value) for value in (lower, upper, step))
        self._builder.insert(scf.ParallelOp([first], [last], [by], Region(block)))

    def when(
        self, condition: SSAValue, body: Callable[[LoopBuilder], None], shares: bool = False
    ) -> None:
        """if condition: body. With `shares` the loops of the body may be parallel."""
        block = Block()
        inner = self.inner(block, is_parallel=shares and self.is_parallel)
        body(inner)
        inner.finish(scf.YieldOp())
        self._builder.insert(scf.IfOp(condition, [], Region(block)))

    def either_runs(
        self,
        condition: SSAValue,
        then: Callable[[LoopBuilder], None],
        otherwise: Callable[[LoopBuilder], None],
    ) -> None:
        """if condition: then; else: otherwise."""

        def without_values(body: Callable[[LoopBuilder], None]) -> Branch:
            def branch(b: LoopBuilder) -> Sequence[SSAValue]:
                body(b)
                return ()

            return branch

        self.choose(condition, without_values(then), without_values(otherwise))

    def choose(self, condition: SSAValue, then: Branch, otherwise: Branch) -> Sequence[SSAValue]:
        """What one of the branches gives, of which only that one runs."""
        regions, types = [], []
        for branch in (then, otherwise):
            block = Block()
            inner = self.inner(block)
            values = branch(inner)
            types = [value.type for value in values]
            inner.finish(scf.YieldOp(*values))
            regions.append(Region(block))
        op = self._builder.insert(scf.IfOp(condition, types, regions[0], regions[1]))
        return list(op.results)

    def nest(
        self,
        extents: Sequence[int],
        body: Callable[[LoopBuilder, list[SSAValue]], None],
    ) -> None:
        """Loops over a box of independent iterations, the first that is one being parallel."""

        def level(b: LoopBuilder, position: list[SSAValue]) -> None:
            depth = len(position)
            if depth == len(extents):
                body(b, position)
            elif extents[depth] == 1:
                level(b, [*position, b.index(0)])
            else:
                b.parallel(0, extents[depth], lambda inner, i: level(inner, [*position, i]))

        level(self, [])

    def is_inside(self, position: SSAValue, extent: int) -> SSAValue:
        """0 <= position < extent, in one comparison without sign."""
        bound = self.index(extent) if has_symbols([extent]) else self.like(extent, position)
        return self.insert(arith.CmpiOp(position, bound, "ult"))


def row_major(b: LoopBuilder, position: Sequence[SSAValue], shape: Sequence[int]) -> SSAValue:
    """The number of the element at `position`."""
    flat = b.index(0)
    for index, extent in zip(position, shape, strict=True):
        flat = b.add(b.mul(flat, b.index(extent)), index)
    return flat
