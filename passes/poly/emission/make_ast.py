"""isl's AST of a scheduled scop, with the accesses of every statement instance attached.

isl lets statements that run in every other iteration share iterations, moved by one against each
other, and forgets that a third statement runs between them, or that one of them runs in all. Where
it moved one or lost instances, the AST is made again for domains without strides, which become
conditions.
"""

from __future__ import annotations

from typing import Any

from xdsl.ir import SSAValue

from ....dialects.errors import LoweringError
from ....dialects.poly import IndexOp, ScopOp, StatementOp
from ....dialects.schedule import Node
from ..dependences.dependences import array_names
from ..parameters import context_of
from ..sets import IslMap, IslSet, access_map, dim_aff, isl
from ..storage import Place
from .loop_ast import AstNode, Expr, Guard, User, read_expr, read_node
from .tree_to_isl import AXIS_MARK, common_path, prefix_map, schedule_of


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


def without_strides(domain: IslSet) -> IslSet:
    """A superset of `domain` without existentially quantified variables, as bounded as it is."""
    hull = domain.remove_divs()
    for d in range(domain.dim(isl.dim_type.set)):
        low, high = domain.dim_min_val(d), domain.dim_max_val(d)
        hull = hull.lower_bound_val(isl.dim_type.set, d, low) if low.is_int() else hull
        hull = hull.upper_bound_val(isl.dim_type.set, d, high) if high.is_int() else hull
    return hull


class AstMaker:
    """Runs isl's AST generation and attaches the accesses to each user node."""

    def __init__(self, scop: ScopOp, places: dict[SSAValue, Place]) -> None:
        self.statements = {s.sym_name.data: s for s in scop.statements}
        self.context = context_of(scop)
        self.users: dict[str, AstNode] = {}
        self.loops: dict[str, list[Any]] = {}
        self.conditions: dict[str, IslSet] = {}
        self.is_moved = False
        self.instances: dict[str, IslSet] = {}
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
        self.instances[label] = self.instances[label].union(schedule.domain())
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
        self.is_moved = self.is_moved or self._is_moved(label, schedule)
        user: AstNode = User(statement, accesses, dims)
        if label in self.conditions:
            runs = self.conditions[label].preimage_pw_multi_aff(instance_at)
            user = Guard(read_expr(build.expr_from_set(runs)), user, None)
        key = f"n{len(self.users)}"
        self.users[key] = user
        return node.set_annotation(isl.Id(key))

    def _is_moved(self, label: str, schedule: IslMap) -> bool:
        """Whether instances run in other iterations than the bands say; only those of strided
        loops do. Bands of one iteration have no loop."""
        loops = schedule.range()
        if all(loops.get_stride(k).is_one() for k in range(loops.dim(isl.dim_type.set))):
            return False
        iterations = isl.PwMultiAff.from_map(schedule)
        bands = iter(self.loops[label])
        return not all(
            any(iterations.get_pw_aff(k).ne_set(value).is_empty() for value in bands)
            for k in range(iterations.dim(isl.dim_type.out))
        )

    def make(self, tree: Node, domains: dict[str, IslSet], ranks: dict[str, int]) -> AstNode:
        """The AST of `tree` over the statements' `domains`."""
        for label in self.statements:
            bands = common_path(tree, {label})
            exprs = [dict(band.exprs)[label] for band in bands]
            self.loops[label] = [dim_aff(label, ranks[label], expr) for expr in exprs]
        ast = self._build(tree, domains, ranks)
        if self.is_moved or self._are_lost(domains):
            hulls = {label: without_strides(domain) for label, domain in domains.items()}
            self.conditions = {
                label: domain.gist(hulls[label])
                for label, domain in domains.items()
                if domain.involves_locals()
            }
            ast = self._build(tree, hulls, ranks)
            if self.is_moved:
                raise LoweringError("lower-scop: isl moves statements against each other")
            if self._are_lost(domains):
                raise LoweringError("lower-scop: isl loses instances of statements")
        return ast

    def _are_lost(self, domains: dict[str, IslSet]) -> bool:
        """Whether some instance of `domains` runs at no place of the AST."""
        return not all(
            domain.intersect_params(self.context).is_subset(self.instances[label])
            for label, domain in domains.items()
        )

    def _build(self, tree: Node, domains: dict[str, IslSet], ranks: dict[str, int]) -> AstNode:
        """isl's AST of `tree` over `domains`."""
        self.is_moved = False
        self.instances = {k: isl.Set.empty(d.get_space()) for k, d in domains.items()}
        errors: list[Exception] = []

        def callback(node: Any, build: Any) -> Any:
            try:
                return self._annotate(node, build)
            except Exception as error:  # isl would lose it, and does not survive one every time
                errors.append(error)
                return node

        build, keep = isl.AstBuild.from_context(self.context).set_at_each_domain(callback)
        try:
            node = build.node_from_schedule(schedule_of(tree, domains, ranks))
        finally:
            del keep
        if errors:
            raise errors[0]
        return read_node(node, self.users, lambda mark: mark.removeprefix(AXIS_MARK))
