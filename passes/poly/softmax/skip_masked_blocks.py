"""Leave out the blocks of keys that a causal mask hides from all rows of a block of queries.

before: for blocks of queries i: for blocks of keys j: S
after:  for blocks of queries i: for blocks of keys j with a key <= some query of i: S

Exponentials of hidden keys are zero, so such a block changes neither maximum nor sums. (A value
that is infinite or NaN is then not multiplied by that zero; the same holds for other keys that no
row of a block sees in any implementation by blocks.)
"""

from __future__ import annotations

from math import inf

from xdsl.dialects import arith
from xdsl.dialects.builtin import FloatAttr, StringAttr
from xdsl.ir import SSAValue

from ....dialects.poly import IndexOp, ScopOp, StatementOp, YieldOp
from ....dialects.schedule import Band, Node, statements_of
from ..emission.tree_to_isl import common_path, prefix_map
from ..sets import IslSet, access_map, dims, domain_set, isl
from ..simplification.collapse_dims import is_indirect
from .softmax_sums import SoftmaxSums

RELATIONS = {2: "<", 3: "<=", 4: ">", 5: ">="}  # arith.cmpi: slt, sle, sgt, sge


def _dim(value: SSAValue) -> int | None:
    return value.owner.dim.data if isinstance(value.owner, IndexOp) else None


def _seen(scores: StatementOp) -> IslSet | None:
    """Instances of `scores` that a comparison of iteration numbers does not set to -inf."""
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
    name = scores.sym_name.data
    instance = f"{name}[{', '.join(dims(scores.rank))}]"
    return domain_set(scores.domain.data, name).intersect(
        isl.Set(f"{{ {instance} : i{left} {relation} i{right} }}")
    )


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


def _live_iterations(p: StatementOp, scores: StatementOp, seen: IslSet, path: list[Band]) -> IslSet:
    """Iterations of `path`, whose last loop is over blocks, with a key to see in this or a later
    block: no block between two others is left out."""
    name = p.sym_name.data
    elements = seen.apply(access_map(scores.write.data, scores.sym_name.data, "scores"))
    read = access_map(p.read_maps[0], name, "scores")
    live = elements.apply(read.reverse()).intersect(domain_set(p.domain.data, name))
    iterations = live.apply(prefix_map(name, p.rank, path))
    last = len(path) - 1
    names = dims(len(path))
    here = ", ".join(names)
    before = ", ".join([*names[:last], "b"])
    return iterations.apply(isl.Map(f"{{ [{here}] -> [{before}] : 0 <= b <= i{last} }}"))


def skip_masked_blocks(scop: ScopOp, found: SoftmaxSums, tree: Node) -> bool:
    """Restrict the domains in the loop over blocks of `tree` to blocks with a key to see.

    False where no comparison of iteration numbers masks the scores, or where the statements do not
    share a loop over blocks.
    """
    masked = masked_scores(scop, found)
    updates = [found.maximum.update, *(one.sum.update for one in found.sums)]
    path = common_path(tree, {s.sym_name.data for s in (found.exponential, *updates)})
    if masked is None or not path:
        return False
    block = dict(path[-1].exprs).get(found.reference.sym_name.data)
    inside = set(statements_of(path[-1]))
    if block != "i0" or not _write_only_inside(scop, inside, {one.total for one in found.sums}):
        return False
    iterations = _live_iterations(found.exponential, *masked, path)
    for s in scop.statements:
        name = s.sym_name.data
        if name in inside:
            live = iterations.apply(prefix_map(name, s.rank, path).reverse())
            domain = domain_set(s.domain.data, name).intersect(live).coalesce()
            s.properties["domain"] = StringAttr(str(domain.reset_tuple_id()))
    return True
