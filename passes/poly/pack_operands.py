"""Give contractions a wide operand whose vectors are contiguous, in panels of one register tile.

weights: the stored array is packed once, before the kernel ever runs (`poly.pack`)
others:  a statement copies the operand into a temporary panel, in the loops it shares

before: acc[m, n] += x[m, k] * w[n, k]
after:  acc[m, n] += x[m, k] * wp[n / NR, k, n mod NR]
"""

from __future__ import annotations

from math import ceil

from xdsl.dialects.builtin import AffineMapAttr, ArrayAttr, MemRefType
from xdsl.ir import Block, BlockArgument, Region
from xdsl.ir.affine import AffineExpr, AffineMap

from ...dialects.poly import ArrayOp, PackAttr, ScopOp, StatementOp, YieldOp
from .access_patterns import contraction_of, stride
from .affine_maps import plain_dim
from .collapse_dims import set_shape
from .sets import box_text


def _panel(access: AffineMap, position: int, width: int) -> AffineMap:
    """The access into panels: [.. without position .., ] -> (tile, others ..., lane)."""
    wide = access.results[position]
    others = tuple(e for p, e in enumerate(access.results) if p != position)
    return AffineMap(access.num_dims, 0, (wide // width, *others, wide % width))


def _panel_source(rank: int, position: int, width: int) -> AffineMap:
    """(tile, others ..., lane) -> index of the array before packing."""
    others = [AffineExpr.dimension(d) for d in range(1, rank)]
    wide = AffineExpr.dimension(0) * width + AffineExpr.dimension(rank)
    return AffineMap(rank + 1, 0, (*others[:position], wide, *others[position:]))


def pack_wide_operand(scop: ScopOp, update: StatementOp, width: int, pack_inputs: bool) -> bool:
    """Pack the wide operand of contraction `update` in panels of `width`; False where it stays."""
    contraction = contraction_of(update)
    if contraction is None:
        return False
    k = contraction.wide
    array, access = update.sources[k], update.read_maps[k]
    assert isinstance(array.type, MemRefType)
    shape = array.type.get_shape()
    positions = [p for p, e in enumerate(access.results) if plain_dim(e) == contraction.vector_dim]
    plain = all(
        contraction.vector_dim not in e.used_dims()
        for p, e in enumerate(access.results)
        if p not in positions
    )
    if len(positions) != 1 or not plain:
        return False
    position = positions[0]
    packed_shape = (
        ceil(shape[position] / width),
        *(n for p, n in enumerate(shape) if p != position),
        width,
    )
    source = _panel_source(len(shape), position, width)
    new_access = _panel(access, position, width)
    if isinstance(array, BlockArgument) and scop.roles.data[array.index].data == "weight":
        if len(list(array.uses)) != 1:
            return False
        assert scop.packs is not None
        packs = list(scop.packs.data)
        packs[array.index] = PackAttr.of(source, shape)
        scop.properties["packs"] = ArrayAttr(packs)
        set_shape(array, packed_shape)
    else:
        if not pack_inputs or stride(array, access, contraction.vector_dim) == 1:
            return False
        element = array.type.element_type
        panel = ArrayOp(MemRefType(element, packed_shape), (array.name_hint or "t") + "_panel")
        body = Block(arg_types=[element])
        body.add_op(YieldOp(body.args[0]))
        everywhere = AffineMap.identity(len(shape))
        copy = StatementOp(
            f"{update.sym_name.data}p",
            box_text(shape),
            panel.result,
            _panel(everywhere, position, width),
            [array],
            [everywhere],
            Region(body),
        )
        writers = [s for s in scop.statements if s.target is array]
        if writers:
            scop.body.block.insert_op_after(panel, writers[-1])
            scop.body.block.insert_op_after(copy, panel)
        else:
            first = scop.body.block.first_op
            assert first is not None
            scop.body.block.insert_op_before(panel, first)
            scop.body.block.insert_op_after(copy, panel)
        update.operands[1 + k] = panel.result
    reads = list(update.reads.data)
    reads[k] = AffineMapAttr(new_access)
    update.properties["reads"] = ArrayAttr(reads)
    return True
