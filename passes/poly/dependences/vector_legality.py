"""Whether every vector loop of a schedule tree can be lanes.

Dependences are the matter of `legality`; here it is about what one vector instruction can do.
"""

from __future__ import annotations

from ....dialects.errors import IllegalScheduleError
from ....dialects.poly import ScopOp, StatementOp
from ....dialects.schedule import Band, Chain, Leaf, Node
from ..emission.tree_to_isl import prefix_map
from ..sets import access_map, dim_aff, domain_set, isl


def check_vector_loops(tree: Node, scop: ScopOp) -> None:
    """Raise IllegalScheduleError where a vector loop stands inside another one, or reduces
    groups of its lanes into different elements."""
    statements = {s.sym_name.data: s for s in scop.statements}
    _visit(tree, (), statements)


def _visit(node: Node, path: tuple[Band, ...], statements: dict[str, StatementOp]) -> None:
    match node:
        case Leaf(name):
            for band in path:
                if band.kind == "vector":
                    _check_lanes(band, path, statements[name])
        case Chain(children):
            for child in children:
                _visit(child, path, statements)
        case Band():
            outer = next((b for b in path if b.kind == "vector"), None)
            if node.kind == "vector" and outer is not None:
                raise IllegalScheduleError(
                    f"vector loop {node.axis!r} stands inside vector loop {outer.axis!r}; "
                    "vectorize one of them"
                )
            _visit(node.body, (*path, node), statements)


def _check_lanes(band: Band, path: tuple[Band, ...], statement: StatementOp) -> None:
    """A reduction writes one element per lane, or one for all lanes."""
    if statement.reduction is None:
        return
    name, rank = statement.sym_name.data, statement.rank
    domain = domain_set(statement.domain.data, name)
    others = prefix_map(name, rank, [b for b in path if b is not band])
    lane = isl.Map.from_pw_aff(dim_aff(name, rank, dict(band.exprs)[name]))
    before = lane.apply_range(isl.Map.lex_lt(lane.range().get_space())).apply_range(lane.reverse())
    pairs = others.apply_range(others.reverse()).intersect(before)
    pairs = pairs.intersect_domain(domain).intersect_range(domain)
    write = access_map(statement.write.data, name, "t")
    together = write.apply_range(write.reverse())
    if not pairs.is_disjoint(together) and not pairs.is_subset(together):
        raise IllegalScheduleError(
            f"vector loop {band.axis!r} reduces groups of its lanes of {name} into different "
            "elements; use fewer lanes"
        )
