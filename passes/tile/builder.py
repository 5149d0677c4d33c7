"""Writes tile programs: Python calls append ops.

In: a name, threads, a grid and arguments. Out: a `tile.program`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from xdsl.builder import Builder
from xdsl.dialects import arith, scf
from xdsl.dialects.builtin import DYNAMIC_INDEX, IndexType, IntAttr, IntegerAttr
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.ir.affine import AffineConstantExpr, AffineMap
from xdsl.rewriter import InsertPoint

from ...dialects.tile import ops
from ...dialects.tile.register_layout import RegisterLayout
from ...dialects.tile.shared_layout import PLAIN, Swizzle
from ...dialects.tile.types import UNROLL, GlobalType, PointerType, RegisterType, SharedType

Index = SSAValue | int


def fixed_grid(*blocks: int) -> AffineMap:
    """A grid of fixed size."""
    return AffineMap(0, 0, tuple(AffineConstantExpr(n) for n in blocks))


def known(value: Index) -> int | None:
    """The number that `value` is, where it is a constant."""
    if isinstance(value, int):
        return value
    owner = value.owner
    if isinstance(owner, arith.ConstantOp) and isinstance(owner.value, IntegerAttr):
        return int(owner.value.value.data)
    return None


def named(value: SSAValue, name: str) -> SSAValue:
    """`value`, which texts call `name`."""
    value.name_hint = name
    return value


class ProgramBuilder:
    """A program under construction; `argument(name)` is what it is called with."""

    def __init__(
        self,
        name: str,
        threads: int,
        grid: AffineMap,
        arguments: Sequence[tuple[str, Attribute]],
    ) -> None:
        """`arguments` are names with PointerType or IndexType; `grid` maps the sizes to blocks."""
        block = Block(arg_types=[type for _, type in arguments])
        for (argument, _), value in zip(arguments, block.args, strict=True):
            value.name_hint = argument
        self._arguments = {a: v for (a, _), v in zip(arguments, block.args, strict=True)}
        self.program = ops.ProgramOp(
            name, threads, grid, [a for a, _ in arguments], Region([block])
        )
        self._builder = Builder(InsertPoint.at_end(block))

    def argument(self, name: str) -> SSAValue:
        """The argument called `name`."""
        return self._arguments[name]

    def add(self, op: Operation, name: str | None = None) -> SSAValue:
        """Append `op`; its first result, called `name`."""
        self._builder.insert(op)
        op.results[0].name_hint = name
        return op.results[0]

    def do(self, op: Operation) -> None:
        """Append `op`, which has no results."""
        self._builder.insert(op)

    def index(self, value: Index) -> SSAValue:
        """A number as a value."""
        if isinstance(value, int):
            return self.add(arith.ConstantOp(IntegerAttr(value, IndexType())))
        return value

    def plus(self, a: Index, b: Index) -> SSAValue:
        """a + b."""
        return self._arithmetic(arith.AddiOp, lambda x, y: x + y, a, b, 0)

    def minus(self, a: Index, b: Index) -> SSAValue:
        """a - b."""
        return self._arithmetic(arith.SubiOp, lambda x, y: x - y, a, b, 0)

    def times(self, a: Index, b: Index) -> SSAValue:
        """a * b."""
        return self._arithmetic(arith.MuliOp, lambda x, y: x * y, a, b, 1)

    def quotient(self, a: Index, b: Index) -> SSAValue:
        """a / b, both not negative."""
        return self._arithmetic(arith.DivUIOp, lambda x, y: x // y, a, b, 1)

    def remainder(self, a: Index, b: Index) -> SSAValue:
        """a % b, both not negative."""
        return self._arithmetic(arith.RemUIOp, lambda x, y: x % y, a, b, None)

    def smaller(self, a: Index, b: Index) -> SSAValue:
        """min(a, b)."""
        return self._arithmetic(arith.MinSIOp, min, a, b, None)

    def _arithmetic(
        self,
        kind: Callable[[SSAValue, SSAValue], Operation],
        meaning: Callable[[int, int], int],
        a: Index,
        b: Index,
        right_neutral: int | None,
    ) -> SSAValue:
        x, y = known(a), known(b)
        if x is not None and y is not None:
            return self.index(meaning(x, y))
        if y is not None and y == right_neutral:
            return self.index(a)
        return self.add(kind(self.index(a), self.index(b)))

    def compare(self, a: Index, predicate: str, b: Index) -> SSAValue:
        """A condition; predicates as in `arith.cmpi`."""
        return self.add(arith.CmpiOp(self.index(a), self.index(b), predicate))

    def block_index(self, axis: int, name: str) -> SSAValue:
        """The number of the block."""
        return self.add(ops.BlockIndexOp(axis), name)

    def view_global(self, name: str, shape: Sequence[int], sizes: Sequence[SSAValue]) -> SSAValue:
        """The array that argument `name` points to; unknown extents are -1 in `shape`."""
        pointer = self.argument(name)
        assert isinstance(pointer.type, PointerType)
        extents = [DYNAMIC_INDEX if n < 0 else n for n in shape]
        type = GlobalType.of(extents, pointer.type.pointee)
        return self.add(ops.ViewGlobalOp(pointer, sizes, type), f"{name}_global")

    def alloc_shared(
        self, name: str, shape: Sequence[int], element: Attribute, swizzle: Swizzle = PLAIN
    ) -> SSAValue:
        """An array in shared memory."""
        return self.add(ops.AllocSharedOp(SharedType.of(shape, element, swizzle)), name)

    def load(
        self, source: SSAValue, offsets: Sequence[Index], layout: RegisterLayout, name: str
    ) -> SSAValue:
        """A register tile from shared or global memory."""
        kind = ops.LoadSharedOp if isinstance(source.type, SharedType) else ops.LoadGlobalOp
        type = RegisterType.of(layout, ops.tile_of(source).element)
        return self.add(kind(source, [self.index(o) for o in offsets], type), name)

    def store(self, source: SSAValue, target: SSAValue, offsets: Sequence[Index]) -> None:
        """A register tile to shared or global memory."""
        kind = ops.StoreSharedOp if isinstance(target.type, SharedType) else ops.StoreGlobalOp
        self.do(kind(source, target, [self.index(o) for o in offsets]))

    def copy_async(
        self,
        source: SSAValue,
        offsets: Sequence[Index],
        target: SSAValue,
        stage: Index,
        in_bounds: bool = False,
    ) -> None:
        """Start a copy to a stage of a shared array."""
        places = [self.index(o) for o in offsets]
        self.do(ops.CopyAsyncOp(source, places, target, self.index(stage), in_bounds))

    def fill(self, value: float, layout: RegisterLayout, element: Attribute, name: str) -> SSAValue:
        """A tile of one value."""
        return self.add(ops.FillOp(value, RegisterType.of(layout, element)), name)

    def cast(
        self,
        source: SSAValue,
        element: Attribute,
        name: str,
        levels: Sequence[float] | None = None,
    ) -> SSAValue:
        """A tile in another type."""
        if levels is None and ops.register_of(source).element == element:
            return source
        return self.add(ops.CastOp(source, element, levels), name)

    def lookup(self, codes: SSAValue, table: SSAValue, name: str) -> SSAValue:
        """The entries of a table in global memory."""
        return self.add(ops.LookupOp(codes, table), name)

    def binary(self, function: str, a: SSAValue, b: SSAValue, name: str) -> SSAValue:
        """`function` element by element."""
        return self.add(ops.BinaryOp(function, a, b), name)

    def broadcast(
        self, source: SSAValue, layout: RegisterLayout, dim: int, size: int, name: str
    ) -> SSAValue:
        """Repeat along `dim`."""
        type = RegisterType.of(layout, ops.register_of(source).element)
        return self.add(ops.BroadcastOp(source, dim, size, type), name)

    @contextmanager
    def loop(
        self,
        start: Index,
        end: Index,
        carried: Sequence[SSAValue],
        name: str,
        unroll: int | None = None,
    ) -> Iterator[tuple[SSAValue, list[SSAValue], list[SSAValue]]]:
        """A loop: its number, what it carries, and a list for the values that go on.

        After the `with` the list has the results. Where `unroll` is given, nvcc is told to write so
        many iterations out.
        """
        block = Block(arg_types=[IndexType(), *(v.type for v in carried)])
        block.args[0].name_hint = name
        for argument, value in zip(block.args[1:], carried, strict=True):
            argument.name_hint = value.name_hint
        first, last, step = self.index(start), self.index(end), self.index(1)
        outer, self._builder = self._builder, Builder(InsertPoint.at_end(block))
        results: list[SSAValue] = []
        yield block.args[0], list(block.args[1:]), results
        self._builder.insert(scf.YieldOp(*results))
        self._builder = outer
        op = scf.ForOp(first, last, step, list(carried), Region([block]))
        if unroll is not None:
            op.attributes[UNROLL] = IntAttr(unroll)
        self._builder.insert(op)
        for result, value in zip(op.results, carried, strict=True):
            result.name_hint = value.name_hint
        results[:] = op.results

    def either(
        self, condition: SSAValue, then: Callable[[], SSAValue], otherwise: SSAValue
    ) -> SSAValue:
        """What `then` writes where `condition` holds for all threads, else `otherwise`."""
        block = Block()
        outer, self._builder = self._builder, Builder(InsertPoint.at_end(block))
        value = then()
        self._builder.insert(scf.YieldOp(value))
        self._builder = outer
        other = Block([scf.YieldOp(otherwise)])
        op = scf.IfOp(condition, [otherwise.type], Region([block]), Region([other]))
        return self.add(op, value.name_hint)

    @contextmanager
    def when(self, condition: SSAValue) -> Iterator[None]:
        """Ops that only run where `condition` holds; it is the same for all threads."""
        block = Block()
        outer, self._builder = self._builder, Builder(InsertPoint.at_end(block))
        yield
        self._builder.insert(scf.YieldOp())
        self._builder = outer
        self._builder.insert(scf.IfOp(condition, [], Region([block]), Region()))
