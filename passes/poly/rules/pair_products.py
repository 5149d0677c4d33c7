"""Sum products of bf16 two at a time, as machines with an instruction for that do.

before: acc[m, n] += extf(a[m, k]) * extf(w[n, k])
after:  acc[m, n] += pair.dot(a2[m, k2], w2[n, k2])            k = 2 k2 and 2 k2 + 1

Operands become arrays of pairs (i32), after which they are packed and tiled like those of any other
contraction. A stored weight is paired ahead of time; an argument whose pairs are neighbours in
memory is another type of the same bytes; anything else is copied by a statement of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from xdsl.dialects import arith
from xdsl.dialects.builtin import AffineMapAttr, ArrayAttr, MemRefType, StringAttr, bf16, f32, i32
from xdsl.ir import Block, BlockArgument, Region, SSAValue
from xdsl.ir.affine import (
    AffineBinaryOpExpr,
    AffineBinaryOpKind,
    AffineConstantExpr,
    AffineDimExpr,
    AffineExpr,
    AffineMap,
)
from xdsl.rewriter import Rewriter

from ....dialects.pairs import DotOp, JoinOp
from ....dialects.poly import ArrayOp, PackAttr, ScopOp, StatementOp, YieldOp
from ..access_patterns import (
    Contraction,
    block_of,
    combining_op,
    contraction_of,
    panel_width,
    reduced_block,
)
from ..affine_maps import plain_dim, substitute
from ..array_shapes import element_type, shape_of
from ..sets import box_extents, box_text
from .pack_operands import is_weight, set_read

LEAST_REUSE = 16  # products with each element of an operand that is worth a copy into pairs


def pair_products(scop: ScopOp) -> None:
    """Rewrite every sum of products of two bf16 operands whose reduction has even length.

    Where sums go block by block, as in online softmax, blocks have to be even too.
    """
    for statement in list(scop.statements):
        contraction = contraction_of(statement)
        if contraction is not None and _sums_bf16_products(statement):
            _pair_product(scop, statement, contraction)


def _sums_bf16_products(s: StatementOp) -> bool:
    """Whether the body is accumulator + extf(source 1) * extf(source 2), and nothing else; a source
    in f32 is rounded here, extf(truncf(source))."""
    accumulator, *factors = s.body.block.args
    combiner = combining_op(s)
    if not isinstance(combiner, arith.AddfOp) or len(factors) != 2:
        return False
    product = next((o.owner for o in combiner.operands if o is not accumulator), None)
    if not isinstance(product, arith.MulfOp) or accumulator.type != f32:
        return False
    widened = [o.owner for o in product.operands]
    narrow = [o.input for o in widened if isinstance(o, arith.ExtFOp) and o.input.type == bf16]
    rounded = [v.owner for v in narrow if isinstance(v.owner, arith.TruncFOp)]
    read = [v.owner.input if isinstance(v.owner, arith.TruncFOp) else v for v in narrow]
    # the conversions, the product, the sum, the end
    return set(read) == set(factors) and len(s.body.block.ops) == 5 + len(rounded)


def _pair_product(scop: ScopOp, s: StatementOp, contraction: Contraction) -> None:
    extents = box_extents(s.domain.data)
    operands = [contraction.wide, contraction.narrow]
    if extents is None:
        return
    plans = [
        (dim, [_free_form(scop, s, k, dim) for k in operands])
        for dim, block in enumerate(reduced_block(s, d) for d in range(s.rank))
        if block is not None
        and block % 2 == extents[dim] % 2 == 0
        and all(dim in s.read_maps[k].used_dims() for k in operands)
    ]
    if not plans:
        return
    dim, forms = max(plans, key=lambda plan: sum(form is not None for form in plan[1]))
    for k, form in zip(operands, forms, strict=True):
        reuse = prod(n for d, n in enumerate(extents) if d not in s.read_maps[k].used_dims())
        if form is None and reuse < LEAST_REUSE:
            return
    for k, form in zip(operands, forms, strict=True):
        if form == "weight":
            _pair_weight(scop, s, k, dim)
        elif form == "neighbours":
            _retype(s, k, dim)
        else:
            last = contraction.vector_dim if k == contraction.wide else dim
            _copy_pairs(scop, s, k, dim, last, extents)
    s.properties["domain"] = StringAttr(
        box_text([n // 2 if d == dim else n for d, n in enumerate(extents)])
    )
    _halve_blocks(s, dim)
    _set_body(s)


def _halve_blocks(s: StatementOp, dim: int) -> None:
    """Let blocks of `dim` in what is written have half as many iterations."""
    results = [
        AffineExpr.dimension(dim) // (block[1] // 2)
        if (block := block_of(e)) is not None and block[0] == dim
        else e
        for e in s.write.data.results
    ]
    write = AffineMapAttr(AffineMap(s.rank, 0, tuple(results)))
    s.properties["write"] = write
    s.properties["reads"] = ArrayAttr([write, *s.reads.data[1:]])


def _free_form(scop: ScopOp, s: StatementOp, k: int, dim: int) -> str | None:
    """How source `k` is read in pairs along `dim` at no cost; None where it has to be copied."""
    array, access = s.sources[k], s.read_maps[k]
    if not isinstance(array, BlockArgument) or not array.has_one_use():
        return None
    if element_type(array) != bf16:
        return None
    users = [p for p, e in enumerate(access.results) if dim in e.used_dims()]
    width = panel_width(access, dim)
    if width is not None and width % 2 == 0 and not written(scop, array):
        return "neighbours"
    if len(users) != 1:
        return None
    (user,) = users
    is_plain = plain_dim(access.results[user]) == dim and shape_of(array)[user] % 2 == 0
    if is_weight(scop, array) and is_plain and scop.packs is not None:
        return "weight"
    is_last = user == len(access.results) - 1 and shape_of(array)[user] % 2 == 0
    halved = _halved(access.results[user], dim) if is_last else None
    return "neighbours" if halved is not None and not written(scop, array) else None


def written(scop: ScopOp, array: SSAValue) -> bool:
    """Whether a statement writes `array`."""
    return any(s.target is array for s in scop.statements)


def _halved(expr: AffineExpr, dim: int) -> AffineExpr | None:
    """Half of `expr` at 2 `dim`; None where that is not the index of a pair for every `dim`."""
    match expr:
        case AffineDimExpr(position=position):
            return expr if position == dim else None
        case AffineConstantExpr(value=value):
            return AffineExpr.constant(value // 2) if value % 2 == 0 else None
        case AffineBinaryOpExpr(kind=AffineBinaryOpKind.Add, lhs=lhs, rhs=rhs):
            halves = _halved(lhs, dim), _halved(rhs, dim)
            return None if halves[0] is None or halves[1] is None else halves[0] + halves[1]
        case AffineBinaryOpExpr(
            kind=AffineBinaryOpKind.Mul, lhs=lhs, rhs=AffineConstantExpr(value=factor)
        ) if factor % 2 == 0 and dim not in lhs.used_dims():
            return lhs * (factor // 2)
        case _:
            return None


def _set_pairs(array: SSAValue, position: int) -> None:
    """Make `array` one of pairs along `position`."""
    shape = [n // 2 if p == position else n for p, n in enumerate(shape_of(array))]
    Rewriter.replace_value_with_new_type(array, MemRefType(i32, shape))


def _pair_weight(scop: ScopOp, s: StatementOp, k: int, dim: int) -> None:
    """Pair a stored weight, where `dim` is one plain index of its only access."""
    array, access = s.sources[k], s.read_maps[k]
    assert isinstance(array, BlockArgument)
    assert scop.packs is not None
    shape = shape_of(array)
    position = next(p for p, e in enumerate(access.results) if plain_dim(e) == dim)
    half = AffineExpr.dimension(len(shape))
    index = [AffineExpr.dimension(p) for p in range(len(shape))]
    index[position] = index[position] * 2 + half
    packs = list(scop.packs.data)
    packs[array.index] = PackAttr.of(AffineMap(len(shape) + 1, 0, tuple(index)), shape)
    scop.properties["packs"] = ArrayAttr(packs)
    _set_pairs(array, position)


def _retype(s: StatementOp, k: int, dim: int) -> None:
    """Read neighbours in memory as one word."""
    *outer, last = s.read_maps[k].results
    width = panel_width(s.read_maps[k], dim)
    if width is None:
        half = _halved(last, dim)
    else:
        pair = AffineExpr.dimension(dim)
        half = pair % (width // 2)
        outer = [pair // (width // 2) if dim in e.used_dims() else e for e in outer]
    assert half is not None
    _set_pairs(s.sources[k], len(outer))
    set_read(s, k, AffineMap(s.rank, 0, (*outer, half)))


def _copy_pairs(
    scop: ScopOp, s: StatementOp, k: int, dim: int, last: int, extents: Sequence[int]
) -> None:
    """Insert a statement that joins what source `k` holds along `dim`, dim `last` contiguous."""
    array, access = s.sources[k], s.read_maps[k]
    order = sorted(access.used_dims(), key=lambda d: (d == last, d))
    shape = [extents[d] // (2 if d == dim else 1) for d in order]
    pairs = ArrayOp(MemRefType(i32, shape), (array.name_hint or "t") + "_pairs")
    rank = len(order)
    here = {d: AffineExpr.dimension(p) for p, d in enumerate(order)}

    def read(half: int) -> AffineMap:
        index = [here.get(d, AffineExpr.constant(0)) for d in range(s.rank)]
        index[dim] = index[dim] * 2 + half
        return substitute(access, index, rank)

    body = Block(arg_types=[element_type(array)] * 2)
    halves: list[SSAValue] = list(body.args)
    if element_type(array) != bf16:
        body.add_ops(narrow := [arith.TruncFOp(half, bf16) for half in halves])
        halves = [op.result for op in narrow]
    joined = JoinOp(*halves)
    body.add_ops([joined, YieldOp(joined.result)])
    copy = StatementOp(
        f"{s.sym_name.data}h{k}",
        box_text(shape),
        pairs.result,
        AffineMap.identity(rank),
        [array, array],
        [read(0), read(1)],
        Region(body),
    )
    block = scop.body.block
    assert block.first_op is not None
    writers = [w for w in scop.statements if w.target is array]
    if writers:
        block.insert_op_after(pairs, writers[-1])
    else:
        block.insert_op_before(pairs, block.first_op)
    block.insert_op_after(copy, pairs)
    s.operands[1 + k] = pairs.result
    set_read(s, k, AffineMap(s.rank, 0, tuple(AffineExpr.dimension(d) for d in order)))


def _set_body(s: StatementOp) -> None:
    """acc + pair.dot(source 1, source 2)."""
    old = s.body.block
    for op in reversed(list(old.ops)):
        Rewriter.erase_op(op)
    for argument in list(old.args)[1:]:
        Rewriter.replace_value_with_new_type(argument, i32)
    accumulator, a, b = old.args
    dot = DotOp(a, b)
    total = arith.AddfOp(accumulator, dot.result)
    old.add_ops([dot, total, YieldOp(total.result)])
