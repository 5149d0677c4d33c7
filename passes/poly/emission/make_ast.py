"""isl's AST of a scheduled scop, with the accesses of every statement instance attached."""

from __future__ import annotations

from typing import Any

from xdsl.ir import SSAValue

from ....dialects.poly import IndexOp, ScopOp, StatementOp
from ..dependences.dependences import array_names
from ..parameters import context_of
from ..sets import access_map, dim_aff, isl
from ..storage import Place
from .loop_ast import AstNode, Expr, User, read_expr, read_node
from .tree_to_isl import AXIS_MARK, prefix_map


def _local_access(statement: StatementOp, access: Any, place: Place | None) -> Any:
    """The access as a PwMultiAff into the array, or into its tile where it is contracted."""
    element = isl.PwMultiAff.from_map(access)
    if place is None or not place.path:
        return element
    prefix = isl.PwMultiAff.from_map(
        prefix_map(statement.sym_name.data, statement.rank, list(place.path))
    )
    for d, base in enumerate(place.base):
        moved = element.get_pw_aff(d).sub(base.pullback_pw_multi_aff(prefix))
        element = element.set_pw_aff(d, moved)
    return element


class AstMaker:
    """Runs isl's AST generation and attaches the accesses to each user node."""

    def __init__(self, scop: ScopOp, places: dict[SSAValue, Place]) -> None:
        self.statements = {s.sym_name.data: s for s in scop.statements}
        self.context = context_of(scop)
        self.users: dict[str, User] = {}
        names = array_names(scop)
        self.accesses: dict[str, list[Any]] = {}
        for label, s in self.statements.items():
            self.accesses[label] = [
                _local_access(
                    s,
                    access_map(map, label, names[array]),
                    places.get(array),
                )
                for array, map in zip(
                    (s.target, *s.sources), (s.write.data, *s.read_maps), strict=True
                )
            ]

    def _annotate(self, node: Any, build: Any) -> Any:
        schedule = build.get_schedule().as_map()
        label = schedule.get_tuple_name(isl.dim_type.in_)
        statement = self.statements[label]
        instance_at = isl.PwMultiAff.from_map(schedule.reverse())
        accesses: list[list[Expr]] = []
        for access in self.accesses[label]:
            at = access.pullback_pw_multi_aff(instance_at)
            count = at.dim(isl.dim_type.out)
            accesses.append(
                [read_expr(build.expr_from_pw_aff(at.get_pw_aff(k))) for k in range(count)]
            )
        dims: list[Expr] = []
        if any(isinstance(op, IndexOp) for op in statement.body.block.ops):
            for d in range(statement.rank):
                aff = dim_aff(label, statement.rank, f"i{d}")
                dims.append(
                    read_expr(build.expr_from_pw_aff(aff.pullback_pw_multi_aff(instance_at)))
                )
        key = f"n{len(self.users)}"
        self.users[key] = User(statement, accesses, dims)
        return node.set_annotation(isl.Id(key))

    def make(self, schedule: Any) -> AstNode:
        """The AST of `schedule`."""
        errors: list[Exception] = []

        def callback(node: Any, build: Any) -> Any:
            try:
                return self._annotate(node, build)
            except Exception as error:  # isl would lose it, and does not survive one every time
                errors.append(error)
                return node

        build, keep = isl.AstBuild.from_context(self.context).set_at_each_domain(callback)
        try:
            node = build.node_from_schedule(schedule)
        finally:
            del keep
        if errors:
            raise errors[0]
        return read_node(node, self.users, lambda mark: mark.removeprefix(AXIS_MARK))
