"""Choose a schedule for every scop: rewrite its statements for the machine, then pick steps.

before: poly.scop in original order
after:  the same scop with lanes, panels and a `schedule` property
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import fields, replace
from math import inf, prod

from xdsl.dialects.builtin import StringAttr

from ....costmodel.hardware import Machine
from ....dialects.errors import IllegalScheduleError
from ....dialects.poly import ScopOp
from ....dialects.schedule import Rewrite, Step
from ..access_patterns import (
    FEW_ROWS,
    contraction_of,
    lane_dim,
    reduced_block,
    stride,
    vector_dim,
    widest_in_lanes,
)
from ..array_shapes import check_accesses_are_inside
from ..dependences.dependences import dependences_of
from ..dependences.legality import check_schedule_is_legal
from ..dependences.vector_legality import check_vector_loops
from ..scheduled import apply_schedule
from ..sets import box_extents
from ..simplification.collapse_dims import collapse_dims
from ..simplification.inline_statements import inline_statements
from ..softmax.key_blocks import MASKED_VECTORS, block_keys, keys_per_granule, masked_sums
from ..softmax.skip_masked_keys import skip_masked_keys
from .choice import RULES, RuleChoice, TunedMachine, choice_of, parse_recorded
from .long_reductions import block_long_reductions
from .pack_operands import pack_narrow_weight, pack_wide_operand
from .pair_products import pair_products
from .register_tiles import is_for_matrix_unit, register_tile
from .rfactor import UNROLL, rfactor
from .tile_and_fuse import tile_and_fuse
from .window_passes import cut_into_passes

MANY_ROWS = 8  # that a core works on at the same time
LITTLE = 64  # of the instances of the largest statement, a part that is not worth fewer lanes


def lanes_for(scop: ScopOp, machine: Machine) -> int:
    """Vector lanes that suit the widest element that differs between lanes, but for statements
    that do little of the work, as once per row of it."""
    found = []
    for s in scop.statements:
        extents = box_extents(s.domain.data)
        dim = vector_dim(s, extents) if extents is not None else None
        if extents is not None and dim is not None:
            instances = inf if contraction_of(s) is not None else prod(extents)
            found.append((instances, widest_in_lanes(s, dim)))
    most = max((instances for instances, _ in found if instances < inf), default=0)
    counted = [width for instances, width in found if instances * LITTLE > most]
    return machine.lanes(max([4, *counted]))


def prepare(scop: ScopOp, machine: Machine, lanes: int) -> None:
    """Rewrite statements: pack wide operands, factor reductions into lanes."""
    choice = choice_of(machine)
    for s in scop.statements:
        extents = box_extents(s.domain.data)
        contraction = contraction_of(s)
        if extents is None or s.reduction is None or lane_dim(s, extents, lanes) is not None:
            continue
        if contraction is not None and not choice.pack:
            continue
        if contraction is not None:
            rows = max((extents[d] for d in contraction.rows), default=1)
            columns = extents[contraction.vector_dim]
            in_unit = is_for_matrix_unit(machine, lanes, s, contraction.narrow)
            tile = register_tile(machine, lanes, rows, columns, in_unit)
            wide, access = s.sources[contraction.wide], s.read_maps[contraction.wide]
            gathers = stride(wide, access, contraction.vector_dim) not in (0, 1)
            is_worth_it = lanes > 1 and (rows > tile.rows or (gathers and rows > FEW_ROWS))
            copies = {"rule": is_worth_it, "always": True, "never": False}
            width = tile.vectors * lanes
            pack_wide_operand(scop, s, width, copies=copies[choice.copy])
            if not in_unit:  # which reads a row after the other
                pack_narrow_weight(scop, s, tile.rows)
        elif lanes > 1:
            dim = vector_dim(s, extents)
            if dim is None or machine.lanes(widest_in_lanes(s, dim)) < lanes:
                continue
            if reduced_block(s, dim) is not None and extents[dim] >= lanes:
                rfactor(scop, s, dim, lanes, choice.chains or chains_for(extents, dim, lanes))


def chains_for(extents: Sequence[int], dim: int, lanes: int) -> int:
    """Vectors that a factored reduction adds up side by side, which hides latency.

    Rows that are one step of all of them run beside each other anyway: there every vector more is
    one more whose lanes have to be summed.
    """
    rows = prod(n for d, n in enumerate(extents) if d != dim)
    is_short = extents[dim] <= UNROLL * lanes
    return 1 if is_short and rows >= MANY_ROWS else UNROLL


def choose_schedule(
    scop: ScopOp, machine: Machine, threads: int, choice: RuleChoice = RULES
) -> None:
    """Set the `schedule` property; the original order where the rules do not apply."""
    if not has_rules(scop):
        scop.properties["schedule"] = StringAttr("")
        return
    normalize(scop)
    try:
        steps = schedule_by_rules(scop, choice.seen(machine), threads)
    except IllegalScheduleError as error:
        logging.getLogger(__name__).warning(
            "%s keeps its original order, the default schedule is illegal: %s",
            scop.sym_name.data,
            error,
        )
        steps = []
    scop.properties["schedule"] = StringAttr("\n".join(str(s) for s in steps))


def apply_recorded(scop: ScopOp, machine: Machine, threads: int, text: str) -> None:
    """Set the `schedule` property as a search found it: by rules with other choices, or by steps.

    IllegalScheduleError where it does not apply; `scop` is used up then.
    """
    choice, given = parse_recorded(text)
    if has_rules(scop):
        normalize(scop)
    elif choice is not None:
        raise IllegalScheduleError("the rules do not apply to this kernel")
    if choice is None:
        check_is_legal(scop, given)
        steps: Sequence[Step] = given
    else:
        steps = schedule_by_rules(scop, choice.seen(machine), threads, given or None)
    scop.properties["schedule"] = StringAttr("\n".join(str(s) for s in steps))


def has_rules(scop: ScopOp) -> bool:
    """Whether the rules apply: one nest after the other, over boxes."""
    is_box = all(box_extents(s.domain.data) is not None for s in scop.statements)
    return is_box and scop.is_sequence_of_nests


def normalize(scop: ScopOp) -> None:
    """Drop dims and statements that a schedule need not know of."""
    collapse_dims(scop)
    inline_statements(scop)


def schedule_by_rules(
    scop: ScopOp, machine: Machine, threads: int, given: Sequence[Step] | None = None
) -> Sequence[Step]:
    """Prepare the statements and return the steps, `given` ones in the place of the rules' own.

    IllegalScheduleError where they are illegal.
    """
    lanes = lanes_for(scop, machine)
    blocked = [] if scop.parameters else block_keys(scop, machine, lanes)
    masked = [] if scop.parameters else masked_sums(scop, blocked)
    # halves of a symbolic extent are no box
    if machine.isa != "scalar" and choice_of(machine).pack and not scop.parameters:
        pair_products(scop)
    if masked:
        machine = in_granules(machine)
    prepare(scop, machine, lanes)
    if given is None:
        whole = not blocked and not masked and not scop.parameters
        can_cut = whole and lanes > 1 and choice_of(machine).pack
        rewrites: list[Rewrite] = []
        if can_cut:
            rewrites += block_long_reductions(scop, machine, lanes)
            rewrites += cut_into_passes(scop, machine, lanes)
        rewritten, _ = apply_schedule(scop, rewrites)
        given = [*rewrites, *tile_and_fuse(rewritten, machine, threads, lanes)]
    rewritten, tree = apply_schedule(scop, given)
    for sums in masked:
        skip_masked_keys(rewritten, sums, tree, keys_per_granule(lanes), sums in blocked)
    check_accesses_are_inside(rewritten)
    check_schedule_is_legal(tree, dependences_of(rewritten), rewritten.ranks)
    check_vector_loops(tree, rewritten)
    return given


def in_granules(machine: Machine) -> Machine:
    """`machine`, with as many vectors per iteration as a mask shows or hides together."""
    choice = choice_of(machine)
    wide, chains = choice.wide or MASKED_VECTORS, choice.chains or MASKED_VECTORS
    given = {f.name: getattr(machine, f.name) for f in fields(Machine)}
    return TunedMachine(**given, choice=replace(choice, wide=wide, chains=chains))


def check_is_legal(scop: ScopOp, steps: Sequence[Step]) -> None:
    """IllegalScheduleError where `steps` do not apply or break a dependence."""
    rewritten, tree = apply_schedule(scop, steps)
    check_schedule_is_legal(tree, dependences_of(rewritten), rewritten.ranks)
    check_vector_loops(tree, rewritten)
