"""Webs of an array: the accesses that share values (Chaitin's webs, for array elements).

Accesses in different webs never see each other's values, so each web can have an array of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineMap

from ....dialects.poly import ScopOp, StatementOp
from ..dependences.dependences import array_names, domains_of, original_schedule
from ..dependences.value_flow import flow_between
from ..sets import IslMap, UnionMap, access_map, dims, domain_set, isl, union_map


@dataclass(frozen=True)
class Access:
    """One access of `statement`: its write (None) or read number `read`."""

    statement: StatementOp
    read: int | None

    @property
    def map(self) -> AffineMap:
        """iteration -> element."""
        return (
            self.statement.write.data if self.read is None else self.statement.read_maps[self.read]
        )


@dataclass(frozen=True)
class Web:
    """Accesses of one array that share values, and `flow`: instance that wrote -> that reads."""

    accesses: tuple[Access, ...]
    flow: UnionMap

    @property
    def statements(self) -> list[StatementOp]:
        """The statements of the accesses, each once."""
        return list(dict.fromkeys(a.statement for a in self.accesses))

    def common_loops(self, scop: ScopOp) -> int:
        """How many of the outermost loops hold all statements, and every value from its write to
        its last read in one iteration."""
        places = dict(zip(scop.statements, scop.positions, strict=True))
        statements = self.statements
        depth = min(s.rank for s in statements)
        while len({places[s][:depth] for s in statements}) > 1:
            depth -= 1
        while depth > 0 and not self.flow.is_subset(_same_iteration(statements, depth)):
            depth -= 1
        return depth


def _union(maps: list[UnionMap]) -> UnionMap:
    return reduce(lambda one, other: one.union(other), maps, isl.UnionMap("{ }"))


def _same_iteration(statements: list[StatementOp], depth: int) -> UnionMap:
    """Pairs of instances with equal outermost `depth` dims."""
    prefix = union_map(
        [
            isl.Map(
                f"{{ {s.sym_name.data}[{', '.join(dims(s.rank))}] -> [{', '.join(dims(depth))}] }}"
            )
            for s in statements
        ]
    )
    return prefix.apply_range(prefix.reverse())


def _relation(access: Access, array: str) -> IslMap:
    label = access.statement.sym_name.data
    domain = domain_set(access.statement.domain.data, label)
    return access_map(access.map, label, array).intersect_domain(domain)


def webs_of(scop: ScopOp, array: SSAValue) -> list[Web]:
    """The webs of `array` in original order of their first statements."""
    name = array_names(scop)[array]
    schedule = original_schedule(scop).intersect_domain(domains_of(scop))
    writes, reads = [], []
    for s in scop.statements:
        if s.target is array:
            writes.append(Access(s, None))
        reads += [Access(s, k) for k, source in enumerate(s.sources) if source is array]
    group = {access: {access} for access in (*writes, *reads)}

    def join(one: Access, other: Access) -> None:
        if group[one] is not group[other]:
            group[one] |= group[other]
            for member in group[other]:
                group[member] = group[one]

    every_write = union_map([_relation(w, name) for w in writes])
    flows: dict[Access, UnionMap] = {}
    for read in reads:
        flows[read] = flow_between(isl.UnionMap(_relation(read, name)), every_write, schedule)
        sources = flows[read].domain()
        for write in writes:
            instances = isl.UnionSet(
                domain_set(write.statement.domain.data, write.statement.sym_name.data)
            )
            if not sources.is_disjoint(instances):
                join(read, write)
        if read.read == 0 and read.statement.reduction is not None:
            join(read, Access(read.statement, None))
    order = {s: k for k, s in enumerate(scop.statements)}
    found = {id(members): members for members in group.values()}
    webs = [
        Web(
            tuple(sorted(m, key=lambda a: (order[a.statement], -1 if a.read is None else a.read))),
            _union([flows[a] for a in m if a.read is not None]),
        )
        for m in found.values()
    ]
    return sorted(webs, key=lambda web: order[web.accesses[0].statement])
