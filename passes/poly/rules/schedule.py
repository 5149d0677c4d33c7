"""Choose a schedule for every scop: rewrite its statements for the machine, then pick steps.

before: poly.scop in original order
after:  the same scop with lanes, panels and a `schedule` property
"""

from __future__ import annotations

import logging

from xdsl.dialects.builtin import (
    AnyFloat,
    FixedBitwidthType,
    StringAttr,
)

from ....costmodel.hardware import Machine
from ....dialects.errors import IllegalScheduleError
from ....dialects.poly import ScopOp
from ..access_patterns import contraction_of, reduced_block, stride, vector_dim
from ..dependences.dependences import dependences_of
from ..dependences.legality import check_schedule_is_legal
from ..dependences.vector_legality import check_vector_loops
from ..scheduled import apply_schedule
from ..sets import box_extents
from ..simplification.collapse_dims import collapse_dims
from ..simplification.inline_statements import inline_statements
from ..softmax.key_blocks import block_keys
from ..softmax.skip_masked_blocks import skip_masked_blocks
from ..storage import element_bytes
from .choice import RULES, RuleChoice
from .long_reductions import block_long_reductions
from .pack_operands import pack_narrow_weight, pack_wide_operand
from .register_tiles import register_tile
from .rfactor import rfactor
from .tile_and_fuse import tile_and_fuse
from .window_tiles import lane_dim


def lanes_for(scop: ScopOp, machine: Machine) -> int:
    """Vector lanes that suit the widest element that differs between lanes."""
    widths = [4]
    for s in scop.statements:
        extents = box_extents(s.domain.data)
        dim = vector_dim(s, extents) if extents is not None else None
        if dim is None:
            continue
        accesses = zip((s.target, *s.sources), (s.write.data, *s.read_maps), strict=True)
        widths += [element_bytes(array) for array, map in accesses if stride(array, map, dim) != 0]
        widths += [
            result.bitwidth // 8
            for op in s.body.block.ops
            for result in op.result_types
            if isinstance(result, FixedBitwidthType) and isinstance(result, AnyFloat)
        ]
    return machine.lanes(max(widths))


def prepare(scop: ScopOp, machine: Machine, lanes: int, pack: bool = True) -> None:
    """Rewrite statements: pack wide operands, factor reductions into lanes."""
    for s in scop.statements:
        extents = box_extents(s.domain.data)
        contraction = contraction_of(s)
        if extents is None or s.reduction is None or lane_dim(s, extents, lanes) is not None:
            continue
        if contraction is not None and not pack:
            continue
        if contraction is not None:
            rows = max((extents[d] for d in contraction.rows), default=1)
            columns = extents[contraction.vector_dim]
            tile = register_tile(machine, lanes, rows, columns)
            pack_wide_operand(scop, s, tile.vectors * lanes, copies=lanes > 1 and rows > tile.rows)
            pack_narrow_weight(scop, s, tile.rows)
        elif lanes > 1:
            dim = vector_dim(s, extents)
            if dim is not None and reduced_block(s, dim) is not None and extents[dim] >= lanes:
                rfactor(scop, s, dim, lanes)


def choose_schedule(
    scop: ScopOp, machine: Machine, threads: int, choice: RuleChoice = RULES
) -> None:
    """Set the `schedule` property; the original order where the rules do not apply."""
    is_box = all(box_extents(s.domain.data) is not None for s in scop.statements)
    if not is_box or not scop.is_sequence_of_nests:
        scop.properties["schedule"] = StringAttr("")
        return
    machine = choice.seen(machine)
    collapse_dims(scop)
    inline_statements(scop)
    lanes = lanes_for(scop, machine)
    blocked = block_keys(scop, machine, lanes)
    prepare(scop, machine, lanes, choice.pack)
    rewrites = (
        []
        if blocked or lanes == 1 or not choice.pack
        else block_long_reductions(scop, machine, lanes)
    )
    rewritten, _ = apply_schedule(scop, rewrites)
    steps = [*rewrites, *tile_and_fuse(rewritten, machine, threads, lanes, choice.parallel_work)]
    try:
        rewritten, tree = apply_schedule(scop, steps)
        for sums in blocked:
            skip_masked_blocks(rewritten, sums, tree)
        check_schedule_is_legal(tree, dependences_of(rewritten), rewritten.ranks)
        check_vector_loops(tree, rewritten)
    except IllegalScheduleError as error:
        logging.getLogger(__name__).warning(
            "%s keeps its original order, the default schedule is illegal: %s",
            scop.sym_name.data,
            error,
        )
        steps = []
    scop.properties["schedule"] = StringAttr("\n".join(str(s) for s in steps))
