"""Remove statement instances whose values never reach an output.

before: for i: { u = f(i); t[i] = g(i); y[i] = t[i] };  t[0] = 0.0
after:  for i: { t[i] = g(i); y[i] = t[i] }

An instance is live if it writes the last value of an element that outlives the kernel, or a value
that a live instance reads (by value-based flow). Where the live part of a statement grows with
every step of the flow, the whole statement counts as live.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from xdsl.context import Context
from xdsl.dialects.builtin import MemRefType, ModuleOp, StringAttr
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from ....dialects.poly import ArrayOp, ScopOp
from ..dependences.dependences import (
    accesses_of,
    array_names,
    domains_of,
    original_schedule,
)
from ..dependences.value_flow import flow_between
from ..positions import set_positions
from ..sets import UnionMap, UnionSet, domain_set, domain_text, isl, union_set

STEPS = 8  # of the flow, before a statement that still grows counts as live altogether
OUTPUT_ROLES = ("out", "inout")
EXIT = "kernel_exit"  # reads every output after all statements


def _outputs(scop: ScopOp) -> UnionSet:
    """The elements that outlive the kernel."""
    names = array_names(scop)
    found = []
    for array, role in zip(scop.body.block.args, scop.roles, strict=True):
        assert isinstance(array.type, MemRefType)
        if role.data in OUTPUT_ROLES:
            rank = array.type.get_num_dims()
            index = ", ".join(f"o{d}" for d in range(rank))
            found.append(isl.Set(f"{{ {names[array]}[{index}] }}"))
    return union_set(found)


def _last_writers(scop: ScopOp, writes: UnionMap, schedule: UnionMap) -> UnionSet:
    """The instances that write the final value of an output."""
    last = max((p[0] for p in scop.positions), default=0) + 1
    depth = 2 * max((s.rank for s in scop.statements), default=0)
    time = ", ".join([str(last), *["0"] * depth])
    reads: Any = isl.UnionMap("{ }")

    def read(elements: Any) -> None:
        nonlocal reads
        at_exit = isl.Map.from_domain_and_range(isl.Set(f"{{ {EXIT}[] }}"), elements)
        reads = reads.union(isl.UnionMap(at_exit))

    _outputs(scop).foreach_set(read)
    after = schedule.union(isl.UnionMap(f"{{ {EXIT}[] -> [{time}] }}"))
    return flow_between(reads, writes, after).domain()


def live_instances(scop: ScopOp) -> UnionSet:
    """The instances whose values reach an output, or more."""
    schedule = original_schedule(scop).intersect_domain(domains_of(scop))
    reads, writes = accesses_of(scop)
    flow = flow_between(reads, writes, schedule)
    live = _last_writers(scop, writes, schedule)
    domains = {s.sym_name.data: domain_set(s.domain.data, s.sym_name.data) for s in scop.statements}
    for step in range(STEPS + len(domains)):
        grown = live.union(flow.intersect_range(live).domain()).coalesce()
        if grown.is_subset(live):
            break
        if step >= STEPS:
            for domain in domains.values():
                if not grown.subtract(live).is_disjoint(isl.UnionSet(domain)):
                    grown = grown.union(isl.UnionSet(domain))
        live = grown
    return live


def eliminate_dead_statements(scop: ScopOp, instances: bool = False) -> None:
    """Drop the statements of `scop` without live instances, and temporaries that nobody uses.

    With `instances`, restrict each domain to what is live: fewer instances, but more conditions.
    """
    if not scop.statements:
        return
    live = live_instances(scop)
    places = dict(zip(scop.statements, scop.positions, strict=True))
    for statement in scop.statements:
        domain = domain_set(statement.domain.data, statement.sym_name.data)
        part = live.intersect(isl.UnionSet(domain))
        if part.is_empty():
            del places[statement]
            Rewriter.erase_op(statement)
        elif instances and not isl.UnionSet(domain).is_subset(part):
            text = domain_text(part.extract_set(domain.get_space()))
            statement.properties["domain"] = StringAttr(text)
    set_positions(scop, places)
    for op in list(scop.body.block.ops):
        if isinstance(op, ArrayOp) and not op.result.uses:
            Rewriter.erase_op(op)


@dataclass(frozen=True)
class EliminateDeadStatementsPass(ModulePass):
    """Eliminate dead statements in every scop, and with `instances` dead parts of domains."""

    name = "eliminate-dead-statements"
    instances: bool = False

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for scop in op.ops:
            if isinstance(scop, ScopOp):
                eliminate_dead_statements(scop, self.instances)
