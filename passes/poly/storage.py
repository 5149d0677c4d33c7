"""Where temporaries live: contracted to what one iteration of their innermost common loop touches.

before: t : 128 x 384, written and read inside one iteration of loops (io, jo) of 13 x 32 tiles
after:  t : 13 x 32, local to the body of jo, indexed relative to the tile
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

from xdsl.dialects.builtin import FixedBitwidthType, MemRefType
from xdsl.ir import SSAValue

from ...dialects.poly import ArrayOp, ScopOp, StatementOp, has_dynamic_shape
from ...dialects.schedule import Band, Node, bands_of
from .dependences.dependences import Dependences, array_names
from .emission.tree_to_isl import common_path, prefix_map
from .sets import access_map, domain_set, isl, values_of
from .simplification.collapse_dims import is_indirect

LOCAL_BYTES = 512 * 1024  # stacks are small; larger temporaries become scratch arguments
SHARED_BYTES = 16 * 1024  # temporaries of the whole kernel, on the stack of the calling thread
LINE_BYTES = 64
KERNEL = ""  # the axis of what lives as long as the kernel runs


@dataclass(frozen=True)
class Place:
    """A temporary is stored in the body of loop `axis`, in the kernel, or in a scratch argument.

    `axis` is None for a scratch argument.

    Its element e is at e - base, where `base` are PwAffs over the loops `path`.
    """

    axis: str | None
    path: tuple[Band, ...]
    shape: tuple[int, ...]
    base: tuple[Any, ...]


def element_bytes(array: SSAValue) -> int:
    """Bytes of one element in memory; index and i1 count 8 and 1."""
    assert isinstance(array.type, MemRefType)
    element = array.type.element_type
    return max(1, element.bitwidth // 8) if isinstance(element, FixedBitwidthType) else 8


def _accesses(scop: ScopOp, array: SSAValue) -> list[tuple[StatementOp, Any, bool]]:
    """(statement, relation, is write) of every access to `array`."""
    name = array_names(scop)[array]
    found = []
    for s in scop.statements:
        if array not in (s.target, *s.sources):
            continue
        label = s.sym_name.data
        domain = domain_set(s.domain.data, label)
        if s.target is array:
            found.append((s, access_map(s.write.data, label, name).intersect_domain(domain), True))
        for source, access in zip(s.sources, s.read_maps, strict=True):
            if source is array:
                found.append((s, access_map(access, label, name).intersect_domain(domain), False))
    return found


def _stays_inside(
    accesses: list[tuple[StatementOp, Any, bool]], path: list[Band], flow: Callable[[], Any]
) -> bool:
    """Whether every value of the array is read in the iteration of `path` that wrote it. `flow`,
    which is expensive, is asked where elements are accessed in several iterations."""
    for writer, wrote, is_write in accesses:
        if not is_write:
            continue
        before = prefix_map(writer.sym_name.data, writer.rank, path)
        for reader, read, reads in accesses:
            if reads:
                continue
            pairs = wrote.apply_range(read.reverse())
            after = prefix_map(reader.sym_name.data, reader.rank, path)
            same = before.apply_range(after.reverse())
            if not pairs.is_subset(same):
                values = isl.UnionMap(pairs).intersect(flow())
                if not values.is_subset(isl.UnionMap(same)):
                    return False
    return True


def _tile(
    accesses: list[tuple[StatementOp, Any, bool]], path: list[Band], rank: int
) -> tuple[tuple[int, ...], tuple[Any, ...]] | None:
    """Extents and lower corner of what one iteration of `path` touches."""
    footprint: Any = None
    for s, access, _ in accesses:
        one = prefix_map(s.sym_name.data, s.rank, path).reverse().apply_range(access)
        footprint = one if footprint is None else footprint.union(one)
    shape, base = [], []
    for d in range(rank):
        corner = _corner(footprint.dim_min(d), footprint.dim_max(d))
        if corner is None:
            return None
        count, low = corner
        shape.append(count)
        base.append(low)
    return tuple(shape), tuple(base)


def _corner(low: Any, high: Any) -> tuple[int, Any] | None:
    """The least extent that holds `low` to `high` everywhere, and where it starts: at one of the
    forms that `low` consists of. The first tile of a triangle may start later than the others."""
    found: list[tuple[int, Any]] = []
    for _, form in low.coalesce().get_pieces():
        start = isl.PwAff.from_aff(form)
        extent = values_of(high.sub(start)).dim_max_val(0)
        if extent.is_int() and low.lt_set(start).is_empty():
            found.append((extent.to_python() + 1, start))
    return min(found, key=lambda corner: corner[0], default=None)


def _padded(shape: tuple[int, ...], array: SSAValue, limit: int, lanes: int) -> tuple[int, ...]:
    """`shape` with rows of whole cache lines, so that vectors of different rows do not overlap;
    `shape` itself where rows are whole vectors of `lanes` already (0: no vectors), or where that
    takes more than `limit` bytes."""
    if not shape or shape[-1] == 1 or (lanes and shape[-1] % lanes == 0):
        return shape
    line = max(1, LINE_BYTES // element_bytes(array))
    padded = (*shape[:-1], -(-shape[-1] // line) * line)
    return padded if prod(padded) * element_bytes(array) <= limit else shape


def fits_kernel(array: SSAValue) -> bool:
    """Whether `array` as a whole can live on the stack of the calling thread."""
    assert isinstance(array.type, MemRefType)
    whole = prod(array.type.get_shape()) * element_bytes(array)
    return not has_dynamic_shape(array) and whole <= SHARED_BYTES


def _whole(array: SSAValue, shape: tuple[int, ...], lanes: int) -> Place:
    """The place of an array that no loop body can hold."""
    if fits_kernel(array):
        return Place(KERNEL, (), _padded(shape, array, SHARED_BYTES, lanes), ())
    return Place(None, (), shape, ())


def on_device(array: SSAValue, place: Place) -> Place:
    """`place` for a GPU: what no loop body holds is memory of the device, seen by all launches."""
    assert isinstance(array.type, MemRefType)
    return Place(None, (), array.type.get_shape(), ()) if place.axis == KERNEL else place


def place_array(scop: ScopOp, array: SSAValue, tree: Node, dependences: Dependences) -> Place:
    """The innermost loop body that can hold `array`, and its tile there."""
    assert isinstance(array.type, MemRefType)
    full = array.type.get_shape()
    lanes = max((band.lanes for band in bands_of(tree)), default=0)
    whole = _whole(array, full, lanes)
    if is_indirect(array):
        return whole
    accesses = _accesses(scop, array)
    path = common_path(tree, {s.sym_name.data for s, _, _ in accesses})
    for k, band in enumerate(path):
        if band.kind == "vector":
            path = path[:k]
            break
    flow = partial(dependences.values.through, array_names(scop)[array])
    while path:
        if _stays_inside(accesses, path, flow):
            tile = _tile(accesses, path, len(full))
            if tile is not None and prod(tile[0]) * element_bytes(array) <= LOCAL_BYTES:
                shape = _padded(tile[0], array, LOCAL_BYTES, lanes)
                return Place(path[-1].axis, tuple(path), shape, tile[1])
        path = path[:-1]
    return whole


def place_arrays(scop: ScopOp, tree: Node, dependences: Dependences) -> dict[SSAValue, Place]:
    """A place for every temporary."""
    return {
        op.result: place_array(scop, op.result, tree, dependences)
        for op in scop.body.block.ops
        if isinstance(op, ArrayOp)
    }
