"""Leave out the keys that a causal mask hides from all rows of a block of queries.

before: for blocks of queries i: for keys k: S
after:  for blocks of queries i: for granules of keys, with a key <= some query of i: for k in it: S

Keys go by granules, so that vectors and register tiles stay whole. Exponentials of hidden keys are
zero, so they change neither maximum nor sums. (A value that is infinite or NaN is then not
multiplied by that zero; the same holds for other keys that no row of a block sees in any
implementation by blocks.)
"""

from __future__ import annotations

from functools import reduce
from math import inf

from xdsl.dialects import arith
from xdsl.dialects.builtin import FloatAttr, StringAttr
from xdsl.ir import SSAValue

from ....dialects.poly import ArrayOp, IndexOp, ScopOp, StatementOp, YieldOp
from ....dialects.schedule import Node, statements_of
from ..emission.tree_to_isl import common_path, prefix_map
from ..sets import IslMap, IslSet, access_map, dims, domain_set, isl
from ..simplification.collapse_dims import is_indirect
from .softmax_sums import SoftmaxSums

RELATIONS = {2: "<", 3: "<=", 4: ">", 5: ">="}  # arith.cmpi: slt, sle, sgt, sge


def _dim(value: SSAValue) -> int | None:
    return value.owner.dim.data if isinstance(value.owner, IndexOp) else None


def _seen(scores: StatementOp) -> IslSet | None:
    """Instances of `scores` that a comparison of iteration numbers does not set to -inf, for any
    number of rows and keys."""
    terminator = scores.body.block.last_op
    assert isinstance(terminator, YieldOp)
    choice = terminator.value.owner
    if not isinstance(choice, arith.SelectOp) or not isinstance(choice.cond.owner, arith.CmpiOp):
        return None
    hidden, compare = choice.rhs.owner, choice.cond.owner
    if not isinstance(hidden, arith.ConstantOp) or not isinstance(hidden.value, FloatAttr):
        return None
    left, right = _dim(compare.lhs), _dim(compare.rhs)
    relation = RELATIONS.get(compare.predicate.value.data)
    if hidden.value.value.data != -inf or left is None or right is None or relation is None:
        return None
    instance = f"{scores.sym_name.data}[{', '.join(dims(scores.rank))}]"
    return isl.Set(f"{{ {instance} : i{left} {relation} i{right} }}")


def masked_scores(scop: ScopOp, found: SoftmaxSums) -> tuple[StatementOp, IslSet] | None:
    """The statement that writes the scores, and those of its instances that no comparison of
    iteration numbers sets to -inf; None where there is no such mask."""
    writers = [s for s in scop.statements if s.target is found.scores]
    seen = _seen(writers[0]) if len(writers) == 1 else None
    return None if seen is None else (writers[0], seen)


def _write_only_inside(scop: ScopOp, inside: set[str], sums: set[SSAValue]) -> bool:
    """Whether nothing outside of `inside` reads what it writes, but for the `sums`."""
    written = {s.target for s in scop.statements if s.sym_name.data in inside} - sums
    outside = [s for s in scop.statements if s.sym_name.data not in inside]
    if any(is_indirect(array) for array in written):
        return False
    return not any(source in written for s in outside for source in s.sources)


def _shown(
    p: StatementOp, scores: StatementOp, seen: IslSet, loops: IslMap, size: int
) -> IslSet | None:
    """Iterations of `loops` of `p`, with a key in the place of a number of `size` keys in the last
    one, up to the end of the last `size` with a key to see. None where all have one."""
    name = p.sym_name.data
    elements = seen.apply(access_map(scores.write.data, scores.sym_name.data, "scores"))
    visible = elements.apply(access_map(p.read_maps[0], name, "scores").reverse())
    iterations = visible.apply(loops)
    outer = iterations.dim(isl.dim_type.set) - 1
    by_rows = isl.Map.from_range(iterations).move_dims(
        isl.dim_type.in_, 0, isl.dim_type.out, 0, outer
    )
    try:
        last = by_rows.lexmax_pw_multi_aff().get_pw_aff(0)
    except isl.Error:  # there is no last one
        return None
    end = isl.Map.from_pw_aff(last).apply_range(
        isl.Map(f"{{ [last] -> [key] : key < {size} * (last + 1) }}")
    )
    return end.wrap().flatten()


def _restrict(s: StatementOp, live: IslSet) -> IslSet:
    """Keep the instances of `s` that are `live`; returns them."""
    name = s.sym_name.data
    domain = domain_set(s.domain.data, name).intersect(live).coalesce()
    s.properties["domain"] = StringAttr(str(domain.reset_tuple_id()))
    return domain


def _read_at(s: StatementOp, k: int, elements: IslSet) -> IslSet:
    """Instances of `s` whose operand `k` is one of `elements`."""
    access = access_map(s.read_maps[k], s.sym_name.data, elements.get_tuple_name())
    return elements.apply(access.reverse())


def _restrict_readers(scop: ScopOp, weights: SSAValue, live: IslSet) -> None:
    """Keep what reads `live` elements of `weights`: sums, and copies with what is read of them.

    Copies make pairs, of which either both elements are live or none, as granules are even.
    """
    for s in [s for s in scop.statements if weights in s.sources]:
        kept = _restrict(s, _read_at(s, list(s.sources).index(weights), live))
        if s.reduction is None:
            _restrict_readers(
                scop, s.target, kept.apply(access_map(s.write.data, s.sym_name.data, "copies"))
            )


def _skip_unread(scop: ScopOp, array: SSAValue, inside: set[str]) -> None:
    """Compute only those elements of `array` that are read; the same for what they are made of."""
    writers = [s for s in scop.statements if s.target is array]
    if not isinstance(array.owner, ArrayOp) or any(s.sym_name.data not in inside for s in writers):
        return
    read = [
        domain_set(s.domain.data, s.sym_name.data).apply(access_map(m, s.sym_name.data, "array"))
        for s in scop.statements
        if s.target is not array
        for source, m in zip(s.sources, s.read_maps, strict=True)
        if source is array
    ]
    needed = reduce(lambda a, b: a.union(b), read).coalesce()
    for s in writers:
        write = access_map(s.write.data, s.sym_name.data, "array")
        _restrict(s, needed.apply(write.reverse()))
    for source in {source for s in writers for source in s.sources} - {array}:
        _skip_unread(scop, source, inside)


def skip_masked_keys(
    scop: ScopOp, found: SoftmaxSums, tree: Node, granule: int, in_blocks: bool
) -> bool:
    """Restrict the domains in the loops over rows of `tree` to granules of keys with a key to see,
    and to blocks with one where the sums are `in_blocks` of keys.

    False where no comparison of iteration numbers masks the scores, or where the statements do not
    share a loop over rows.
    """
    masked = masked_scores(scop, found)
    sums = [one.sum.update for one in found.sums]
    p, maximum = found.exponential, found.maximum.update
    users = [p, maximum, *sums]
    path = common_path(tree, {s.sym_name.data for s in users})
    if masked is None or not path:
        return False
    if in_blocks and dict(path[-1].exprs).get(found.reference.sym_name.data) != "i0":
        return False
    inside = set(statements_of(path[-1]))
    if not _write_only_inside(scop, inside, {one.total for one in found.sums}):
        return False
    rows = path[:-1] if in_blocks else path
    name, key = p.sym_name.data, f"i{found.key}"
    shown = _shown(p, *masked, prefix_map(name, p.rank, rows, f"floor({key} / {granule})"), granule)
    if shown is None:
        return False
    if in_blocks:
        blocks = _shown(p, *masked, prefix_map(name, p.rank, path), 1)
        if blocks is None:
            return False
        for s in scop.statements:
            if s.sym_name.data in inside:
                _restrict(s, blocks.apply(prefix_map(s.sym_name.data, s.rank, path).reverse()))
    live = _restrict(p, shown.apply(prefix_map(name, p.rank, rows, key).reverse()))
    scores = live.apply(access_map(p.read_maps[0], p.sym_name.data, "scores"))
    weights = live.apply(access_map(p.write.data, p.sym_name.data, "weights"))
    _restrict(maximum, _read_at(maximum, 1, scores))
    _restrict_readers(scop, p.target, weights)
    _skip_unread(scop, found.scores, inside)
    return True
