"""Give contractions a wide operand whose vectors are contiguous, in panels of one register tile.

weights: the stored array is packed once, before the kernel ever runs (`poly.pack`)
others:  a statement copies the operand into a temporary panel, in the loops it shares

before: acc[m, n] += x[m, k] * w[n, k]
after:  acc[m, n] += x[m, k] * wp[n / NR, k, n mod NR]
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, prod

from xdsl.dialects.builtin import AffineMapAttr, ArrayAttr, MemRefType
from xdsl.ir import Attribute, Block, BlockArgument, Region, SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap

from ....dialects.poly import ArrayOp, PackAttr, ScopOp, StatementOp, YieldOp
from ..access_patterns import contraction_of, parallel_dims, stride
from ..affine_maps import plain_dim, substitute
from ..array_shapes import largest_shape, set_shape
from ..sets import box_extents, box_like

MOST_COPIES = 16  # a panel may repeat elements of its operand at most this often


def panel_access(access: AffineMap, position: int, width: int) -> AffineMap:
    """The access into panels: [.. without position .., ] -> (tile, others ..., lane)."""
    wide = access.results[position]
    others = tuple(e for p, e in enumerate(access.results) if p != position)
    return AffineMap(access.num_dims, 0, (wide // width, *others, wide % width))


def _panel_source(rank: int, position: int, width: int) -> AffineMap:
    """(tile, others ..., lane) -> index of the array before packing."""
    others = [AffineExpr.dimension(d) for d in range(1, rank)]
    wide = AffineExpr.dimension(0) * width + AffineExpr.dimension(rank)
    return AffineMap(rank + 1, 0, (*others[:position], wide, *others[position:]))


def _composed(before: Attribute, panels: AffineMap, shape: Sequence[int]) -> PackAttr:
    """`panels` of an array of `shape`, which may itself be made as `before` says."""
    if not isinstance(before, PackAttr):
        return PackAttr.of(panels, shape)
    rank = panels.num_dims  # the last dim of `before` counts the halves of a pair
    index = (*panels.results, AffineExpr.dimension(rank))
    return PackAttr(
        AffineMapAttr(substitute(before.map.data, index, rank + 1)), before.source_shape
    )


def is_weight(scop: ScopOp, array: SSAValue) -> bool:
    """Whether `array` is a stored weight."""
    return isinstance(array, BlockArgument) and scop.roles.data[array.index].data == "weight"


def _pack_weight(scop: ScopOp, update: StatementOp, k: int, dim: int, width: int) -> bool:
    """Repack a stored weight, where `dim` is one plain index of its only access."""
    array, access = update.sources[k], update.read_maps[k]
    assert isinstance(array, BlockArgument)
    assert isinstance(array.type, MemRefType)
    shape = array.type.get_shape()
    users = [p for p, e in enumerate(access.results) if dim in e.used_dims()]
    if len(users) != 1 or plain_dim(access.results[users[0]]) is None:
        return False
    if len(list(array.uses)) != 1 or scop.packs is None:
        return False
    position = users[0]
    packs = list(scop.packs.data)
    packs[array.index] = _composed(
        packs[array.index], _panel_source(len(shape), position, width), shape
    )
    scop.properties["packs"] = ArrayAttr(packs)
    others = [n for p, n in enumerate(shape) if p != position]
    set_shape(array, [ceil(shape[position] / width), *others, width])
    set_read(update, k, panel_access(access, position, width))
    return True


def _copy_to_panel(scop: ScopOp, update: StatementOp, k: int, vector_dim: int, width: int) -> bool:
    """Insert a statement that copies what `update` reads into [parallel.., tile, rest.., lane]."""
    array, access = update.sources[k], update.read_maps[k]
    assert isinstance(array.type, MemRefType)
    extents = box_extents(update.domain.data)
    assert extents is not None
    used = sorted(access.used_dims())
    outer = [d for d in used if d in parallel_dims(update) and d != vector_dim]
    inner = [d for d in used if d not in outer and d != vector_dim]
    if prod(int(extents[d]) for d in used) > MOST_COPIES * prod(largest_shape(array)):
        return False

    def panel_index(dims: dict[int, AffineExpr], rank: int) -> AffineMap:
        wide = dims[vector_dim]
        return AffineMap(
            rank,
            0,
            (
                *(dims[d] for d in outer),
                wide // width,
                *(dims[d] for d in inner),
                wide % width,
            ),
        )

    element = array.type.element_type
    tiles = ceil(extents[vector_dim] / width)
    shape = [*(int(extents[d]) for d in outer), tiles, *(int(extents[d]) for d in inner), width]
    panel = ArrayOp(MemRefType(element, shape), (array.name_hint or "t") + "_panel")
    body = Block(arg_types=[element])
    body.add_op(YieldOp(body.args[0]))
    order = [*outer, *inner, vector_dim]
    new_dims = {d: AffineExpr.dimension(p) for p, d in enumerate(order)}
    old_dims: list[AffineExpr] = [
        new_dims.get(d, AffineExpr.constant(0)) for d in range(update.rank)
    ]
    copy = StatementOp(
        f"{update.sym_name.data}p",
        box_like([extents[d] for d in order], update.domain.data),
        panel.result,
        panel_index(new_dims, len(order)),
        [array],
        [substitute(access, old_dims, len(order))],
        Region(body),
    )
    block = scop.body.block
    writers = [s for s in scop.statements if s.target is array]
    if writers:
        block.insert_op_after(panel, writers[-1])
    else:
        assert block.first_op is not None
        block.insert_op_before(panel, block.first_op)
    block.insert_op_after(copy, panel)
    update.operands[1 + k] = panel.result
    here = {d: AffineExpr.dimension(d) for d in used}
    set_read(update, k, panel_index(here, update.rank))
    return True


def set_read(update: StatementOp, k: int, access: AffineMap) -> None:
    reads = list(update.reads.data)
    reads[k] = AffineMapAttr(access)
    update.properties["reads"] = ArrayAttr(reads)


def pack_wide_operand(scop: ScopOp, update: StatementOp, width: int, copies: bool) -> bool:
    """Pack the wide operand of contraction `update` in panels of `width`; False where it stays.

    `copies` allows a copy at run time, for operands whose vectors are not contiguous.
    """
    contraction = contraction_of(update)
    if contraction is None:
        return False
    k, vector_dim = contraction.wide, contraction.vector_dim
    array = update.sources[k]
    if is_weight(scop, array):
        return _pack_weight(scop, update, k, vector_dim, width)
    if not copies or stride(array, update.read_maps[k], vector_dim) == 1:
        return False
    return _copy_to_panel(scop, update, k, vector_dim, width)


def pack_narrow_weight(scop: ScopOp, update: StatementOp, height: int) -> bool:
    """Pack a weight that is the narrow operand in panels of `height` rows; False where it stays.

    The rows of a register tile then lie side by side: one stream instead of `height` of them.
    """
    contraction = contraction_of(update)
    if contraction is None or not contraction.rows or height == 1:
        return False
    if not is_weight(scop, update.sources[contraction.narrow]):
        return False
    return _pack_weight(scop, update, contraction.narrow, contraction.rows[-1], height)
