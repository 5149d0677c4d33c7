"""Choose the vector loop of every innermost nest, and move it innermost.

before: for i: for j: S(i, j)               S contiguous along i
after:  for j: vector i: S(i, j)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

from xdsl.ir import SSAValue

from ....costmodel.hardware import Machine
from ....dialects.errors import IllegalScheduleError
from ....dialects.schedule import Band, Chain, Leaf, Node, chain, statements_of
from ..access_patterns import stride
from ..array_shapes import shape_of
from ..dependences.vector_legality import check_vector_loops
from ..primitives.tree_edits import nested
from ..storage import element_bytes
from .nest import ScheduledScop, perfect_nest

GAINS = {0: 0.25, 1: 2.0, -1: 1.5}  # by elements between neighbouring lanes
GATHER = -3.0  # what a strided access costs where a contiguous one gains 2
CHAIN = 3.0  # gain of a sum whose scalar form waits for each addition
SHORTEST = 4  # iterations below which lanes do not pay


def vectorize(scheduled: ScheduledScop, tree: Node, machine: Machine) -> Node:
    """`tree` with one vector loop in each innermost nest that has a legal and useful one."""
    return tree if machine.vector_bytes == 0 else _visit(scheduled, tree, (), machine)


def _visit(scheduled: ScheduledScop, node: Node, outer: tuple[Band, ...], machine: Machine) -> Node:
    match node:
        case Leaf():
            return node
        case Chain(children):
            return chain([_visit(scheduled, c, outer, machine) for c in children])
        case Band():
            nest, body = perfect_nest(node)
            if isinstance(body, Leaf) or _holds_only_leaves(body):
                return _innermost(scheduled, nest, body, outer, machine)
            return nested(nest, _visit(scheduled, body, (*outer, *nest), machine))


def _holds_only_leaves(node: Node) -> bool:
    return isinstance(node, Chain) and all(isinstance(c, Leaf) for c in node.children)


def _innermost(
    scheduled: ScheduledScop,
    nest: Sequence[Band],
    body: Node,
    outer: tuple[Band, ...],
    machine: Machine,
) -> Node:
    """`nest` with its best vector loop innermost; as it is where no loop gains from lanes."""
    names = statements_of(body)
    lanes = machine.lanes(max(element_bytes(scheduled.statements[n].target) for n in names))
    ranked = sorted(
        ((lane_score(scheduled, names, (*outer, *nest), band), k) for k, band in enumerate(nest)),
        reverse=True,
    )
    for score, k in ranked:
        if score <= 0 or lanes < 2 or scheduled.extent(nest[k]) < SHORTEST:
            continue
        narrow = _neighbours_in_l1(scheduled, names, machine)
        band = replace(nest[k], kind="vector", lanes=lanes // 2 if narrow else lanes)
        strip = _strip(scheduled, names, (*outer, *nest), nest[k], band.lanes)
        node = nested([*nest[:k], *strip, *nest[k + 1 :], band], body)
        if _is_legal(scheduled, nested(outer, node)):
            return node
    return nested(nest, body)


def _strip(
    scheduled: ScheduledScop, names: Sequence[str], path: Sequence[Band], band: Band, lanes: int
) -> list[Band]:
    """A loop over vectors of `band` around the loops that it moves into, where lanes are rows far
    apart: as many cache lines as lanes stay in use, instead of one per row."""
    if band is path[-1] or all(
        along in (0, 1) for name in names for _, along in lane_strides(scheduled, name, path, band)
    ):
        return []
    exprs = tuple((s, f"floor(({e})/{lanes})") for s, e in band.exprs)
    return [Band(f"{band.axis}_s", exprs, band.body)]


def lane_strides(
    scheduled: ScheduledScop, name: str, path: Sequence[Band], band: Band
) -> list[tuple[SSAValue, int | None]]:
    """(array, elements between neighbouring lanes) of all accesses of `name`, its write first;
    None where they vary, all of them where the step itself does."""
    s = scheduled.statements[name]
    step = scheduled.direction(name, path, band)
    found: list[tuple[SSAValue, int | None]] = []
    for array, access in zip((s.target, *s.sources), (s.write.data, *s.read_maps), strict=True):
        strides = [stride(array, access, d) for d in range(s.rank)]
        if step is None or None in strides:
            found.append((array, None))
        else:
            pairs = zip(step, strides, strict=True)
            found.append((array, sum(c * a for c, a in pairs if a is not None)))
    return found


def _neighbours_in_l1(scheduled: ScheduledScop, names: Sequence[str], machine: Machine) -> bool:
    """Whether `names` are stencils over rows in the first-level cache, where only loads and stores
    count: the widest ones cross cache lines, and wait for stores that they overlap, every time."""
    statements = [scheduled.statements[name] for name in names]
    arrays = {a for s in statements for a in (s.target, *s.sources)}
    reads_neighbours = any(
        array is other and one != two
        for s in statements
        for (array, one), (other, two) in combinations(zip(s.sources, s.read_maps, strict=True), 2)
    )
    if not reads_neighbours or any(len(shape_of(a)) != 1 for a in arrays):
        return False
    return sum(shape_of(a)[0] * element_bytes(a) for a in arrays) <= machine.l1_bytes


def _is_legal(scheduled: ScheduledScop, tree: Node) -> bool:
    if not scheduled.is_legal(tree):
        return False
    try:
        check_vector_loops(tree, scheduled.scop)
    except IllegalScheduleError:
        return False
    return True


def lane_score(
    scheduled: ScheduledScop, names: Sequence[str], path: Sequence[Band], band: Band
) -> float:
    """How much lanes along `band`, a loop of `path`, gain: contiguous accesses count, strided ones
    cost."""
    total = 0.0
    for name in names:
        s = scheduled.statements[name]
        if scheduled.direction(name, path, band) is None:
            return -1.0
        for array, along in lane_strides(scheduled, name, path, band):
            total += GATHER if along is None else GAINS.get(along, GATHER)
            if along == 0 and array is s.target and s.reduction is not None:
                total += CHAIN / 2  # target and first source
    return total
