"""Give register tiles of products of pairs, or of bytes, to the matrix unit.

before: %r:64 = scf.for %k = 0 to 384 iter_args(%c0 = 0, ...) {
          %x = memref.load %a[%i, %k] ; %w = vector.load %b[%k, 0] ; "pair.dot_add"(%x, %w, %c0)
        }
after:  "matrix.matmul"(%a[%i, 0], %b[0, 0], %sums) {fresh, steps = 384, ...}
        %r0 = vector.load %sums[0, 0] ; %r1 = vector.load %sums[0, 16] ...

A tile qualifies where its rows lie at equal distances and its columns side by side. Steps beyond a
multiple of 16 stay in the loop that they were in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import get_args

from xdsl.context import Context
from xdsl.dialects import arith, memref, scf, vector
from xdsl.dialects.builtin import FloatAttr, IndexType, IntegerAttr, ModuleOp, VectorType, f32, i32
from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from ...costmodel.matrix_unit import WORDS, Kind, fits_matrix_unit, has_matrix_unit
from ...dialects.constants import integer_of
from ...dialects.matrix import MatmulOp
from ...dialects.pairs import DotAddOp
from ...dialects.quant.ops import DotOp
from ..context import CompileContext
from .places import Place

READS = memref.LoadOp | vector.LoadOp | vector.BroadcastOp
INDEX = arith.ConstantOp | arith.AddiOp | arith.MuliOp


@dataclass(frozen=True)
class Product:
    """What a loop sums: `order` has the number of each accumulator, row by row.

    `a` and `b` are the places of the first row and of the first column.
    """

    kind: Kind

    a: Place
    b: Place
    rows: int
    vectors: int
    row_stride: int
    order: tuple[int, ...]


def product_of(loop: scf.ForOp) -> Product | None:
    """The product of tiles that `loop` adds up, one step per iteration; None for other loops."""
    body = loop.body.block
    step, *accumulators = body.args
    end = body.last_op
    if integer_of(loop.step) != 1 or end is None or not _only_multiplies(body):
        return None
    cells: dict[tuple[Place, Place], int] = {}
    for number, accumulator in enumerate(accumulators):
        dot = end.operands[number].owner
        if not isinstance(dot, DotAddOp | DotOp) or dot.acc is not accumulator:
            return None
        factors = _factors(dot)
        if factors is None or not all(_is_fixed(place, body, step) for place in factors):
            return None
        cells[factors] = number
    if not cells or len(cells) != len(accumulators):
        return None
    kind: Kind = "bf16" if isinstance(end.operands[0].owner, DotAddOp) else "int8"
    return _grid(kind, cells, step)


def _only_multiplies(body: Block) -> bool:
    """Whether `body` does nothing but read, compute indices, and multiply."""
    return all(isinstance(op, READS | INDEX | DotAddOp | DotOp | scf.YieldOp) for op in body.ops)


def _factors(dot: DotAddOp | DotOp) -> tuple[Place, Place] | None:
    """(the word that all lanes have, the words of the lanes) whose products `dot` adds."""
    orders = (
        [(dot.values, dot.codes)] if isinstance(dot, DotOp) else [(dot.a, dot.b), (dot.b, dot.a)]
    )
    for one, many in ((first.owner, second.owner) for first, second in orders):
        if not isinstance(one, vector.BroadcastOp) or not isinstance(many, vector.LoadOp):
            continue
        word = one.source.owner
        if isinstance(word, memref.LoadOp) and many.result.type.get_shape() == (WORDS,):
            a, b = Place.of(word.memref, word.indices), Place.of(many.base, many.indices)
            return None if a is None or b is None else (a, b)
    return None


def _is_fixed(place: Place, body: Block, step: SSAValue) -> bool:
    """Whether nothing but `step` moves `place` while the loop runs."""
    values = {place.base, *(value for part in place.index for value, _ in part.terms)} - {step}
    owners = [value.owner for value in values]
    return not any(o is body or (isinstance(o, Operation) and o.parent is body) for o in owners)


def _grid(kind: Kind, cells: dict[tuple[Place, Place], int], step: SSAValue) -> Product | None:
    """The cells as rows at equal distances times columns side by side; None for others."""
    rows, columns = (
        sorted({cell[side] for cell in cells}, key=lambda place: place.flat.constant)
        for side in (0, 1)
    )
    strides, gaps = _distances(rows), _distances(columns)
    if len(cells) != len(rows) * len(columns) or not fits_matrix_unit(len(rows), len(columns)):
        return None
    if len(strides) != 1 or gaps - {WORDS} or rows[0].flat.factor(step) != 1:
        return None
    (stride,) = strides
    order = tuple(cells[row, column] for row in rows for column in columns)
    if stride is None:
        return None
    return Product(kind, rows[0], columns[0], len(rows), len(columns), stride, order)


def _distances(places: Sequence[Place]) -> set[int | None]:
    return {here.distance_to(there) for here, there in pairwise(places)}


def use_matrix_unit(loop: scf.ForOp, product: Product, first: int, steps: int) -> None:
    """Replace the first `steps` iterations of `loop`, which starts at `first`."""
    step, *_ = loop.body.block.args
    made = _Maker(InsertPoint.before(loop))
    element = f32 if product.kind == "bf16" else i32
    sums = memref.AllocaOp.get(element, shape=[product.rows, product.vectors * WORDS])
    made.add(sums)
    cells = [
        [made.number(row), made.number(vector * WORDS)]
        for row in range(product.rows)
        for vector in range(product.vectors)
    ]
    inits = [loop.iter_args[number] for number in product.order]
    is_fresh = all(_is_zero(init) for init in inits)
    for cell, init in zip(cells, inits if not is_fresh else [], strict=False):
        made.add(vector.StoreOp(init, sums.memref, cell))
    a, b = ((p.base, made.indices(p.at(step, first))) for p in (product.a, product.b))
    strides = product.row_stride, product.b.flat.factor(step)
    made.add(MatmulOp(a, b, sums.memref, steps, strides, is_fresh))
    totals: list[SSAValue] = list(loop.iter_args)
    for number, cell in zip(product.order, cells, strict=True):
        load = vector.LoadOp(sums.memref, cell, VectorType(element, [WORDS]))
        made.add(load)
        totals[number] = load.results[0]
    if integer_of(loop.ub) == first + steps:
        for result, total in zip(loop.results, totals, strict=True):
            result.replace_all_uses_with(total)
        Rewriter.erase_op(loop)
    else:
        loop.operands = [made.number(first + steps), loop.ub, loop.step, *totals]


class _Maker:
    """Adds ops at one point."""

    def __init__(self, point: InsertPoint) -> None:
        self.point = point

    def add(self, op: Operation) -> None:
        Rewriter.insert_op(op, self.point)

    def number(self, n: int) -> SSAValue:
        constant = arith.ConstantOp(IntegerAttr(n, IndexType()))
        self.add(constant)
        return constant.result

    def indices(self, place: Place) -> list[SSAValue]:
        return [part.materialize(self.add) for part in place.index]


def _is_zero(value: SSAValue) -> bool:
    """Whether every lane of `value` is the constant 0."""
    op = value.owner
    if not isinstance(op, vector.BroadcastOp) or not isinstance(op.source.owner, arith.ConstantOp):
        return False
    number = op.source.owner.value
    return isinstance(number, FloatAttr | IntegerAttr) and number.value.data == 0


@dataclass(frozen=True)
class MatrixProductsPass(ModulePass):
    """Use the matrix unit of targets that have one."""

    name = "matrix-products"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        assert isinstance(ctx, CompileContext)
        kinds = [kind for kind in get_args(Kind) if has_matrix_unit(ctx.machine, kind)]
        for func in op.ops:
            if not isinstance(func, FuncOp) or not kinds:
                continue
            for loop in [o for o in func.walk() if isinstance(o, scf.ForOp)]:
                first, end = integer_of(loop.lb), integer_of(loop.ub)
                product = product_of(loop)
                if product is None or product.kind not in kinds or first is None or end is None:
                    continue
                steps = (end - first) // WORDS * WORDS
                if steps:
                    use_matrix_unit(loop, product, first, steps)
