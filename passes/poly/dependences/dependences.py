"""Flow, anti and output dependences of a scop, by isl dataflow on the original program order."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from xdsl.dialects import memref
from xdsl.ir import SSAValue

from ....dialects.poly import ScopOp, StatementOp, arrays_of
from ....dialects.schedule import Node
from ..sets import (
    IslMap,
    UnionMap,
    UnionSet,
    access_map,
    dims,
    domain_set,
    isl,
    pairs_of,
    union_map,
    union_set,
)
from .covered_pairs import without_covered_pairs
from .original_order import OriginalOrder
from .updates import Updates, exact_update, updates_of
from .value_flow import ValueFlow, memory_between, pairs_between

Ends = tuple[str, str]  # names of the source and the sink statement


@dataclass(frozen=True)
class Dependences:
    """Pairs source instance -> sink instance. `reduction` pairs update one accumulator.

    `flow` has the last write before each read; `reads` has every write before it, because a
    reassociated reduction may make another of its updates the last one.
    """

    reads: UnionMap
    anti: UnionMap
    output: UnionMap
    reduction: UnionMap
    values: ValueFlow
    kept_by: set[Node] = field(default_factory=set, compare=False)  # loop trees found legal

    @property
    def flow(self) -> UnionMap:
        """Value-based, of all arrays."""
        return self.values.whole()

    @cached_property
    def order(self) -> UnionMap:
        """Every pair whose order a schedule must keep (reductions may be reassociated)."""
        return self.reads.union(self.anti).union(self.output).subtract(self.reduction)

    @cached_property
    def ordered(self) -> dict[Ends, IslMap]:
        """`order`, one relation per pair of statements."""
        return pairs_of(self.order)

    @cached_property
    def sparse(self) -> dict[Ends, IslMap]:
        """Those of `ordered` that no others imply."""
        return pairs_of(without_covered_pairs(self.order))

    @cached_property
    def relaxed(self) -> dict[Ends, IslMap]:
        """`reduction`, one relation per pair of statements."""
        return pairs_of(self.reduction)

    def between(self, statements: Iterable[str]) -> Dependences:
        """The pairs both of whose instances belong to `statements`."""
        names = frozenset(statements)
        return Dependences(
            pairs_between(self.reads, names),
            pairs_between(self.anti, names),
            pairs_between(self.output, names),
            pairs_between(self.reduction, names),
            self.values.between(names),
        )


def array_names(scop: ScopOp) -> dict[SSAValue, str]:
    """A distinct name per array, from name hints."""
    names: dict[SSAValue, str] = {}
    taken: set[str] = set()
    for array in arrays_of(scop):
        base = name = array.name_hint or "t"
        serial = 0
        while name in taken:
            serial += 1
            name = f"{base}_{serial}"
        taken.add(name)
        names[array] = name
    return names


def original_schedule(scop: ScopOp) -> UnionMap:
    """statement -> [p0, i0, p1, i1, ..., pn, 0 ...], p being the statement's position."""
    statements = scop.statements
    depth = max((s.rank for s in statements), default=0)
    maps = []
    for position, s in zip(scop.positions, statements, strict=True):
        names = dims(s.rank)
        time = [str(position[0])]
        for name, place in zip(names, position[1:], strict=True):
            time += [name, str(place)]
        time += ["0"] * (2 * (depth - s.rank))
        instance = f"{s.sym_name.data}[{', '.join(names)}]"
        maps.append(isl.Map(f"{{ {instance} -> [{', '.join(time)}] }}"))
    return union_map(maps)


def domains_of(scop: ScopOp) -> UnionSet:
    """The union of all statement domains."""
    return union_set([domain_set(s.domain.data, s.sym_name.data) for s in scop.statements])


def indirect_reads(statement: StatementOp) -> list[SSAValue]:
    """Arrays that the body of `statement` loads at computed indices."""
    return [op.memref for op in statement.body.block.ops if isinstance(op, memref.LoadOp)]


def accesses_of(
    scop: ScopOp, without: Mapping[str, int] | None = None
) -> tuple[UnionMap, UnionMap]:
    """(reads, writes) as relations from instances to elements.

    The accesses of some statements through their accumulators can be left out: `without` has the
    source of each that reads it.
    """
    names = array_names(scop)
    reads, writes = [], []
    for s in scop.statements:
        label = s.sym_name.data
        domain = domain_set(s.domain.data, label)
        accumulator = None if without is None else without.get(label)
        if accumulator is None:
            write = access_map(s.write.data, label, names[s.target])
            writes.append(write.intersect_domain(domain))
        for k, (array, access) in enumerate(zip(s.sources, s.read_maps, strict=True)):
            if k != accumulator:
                reads.append(access_map(access, label, names[array]).intersect_domain(domain))
        for array in indirect_reads(s):
            rank = len(array.type.get_shape())  # type: ignore[attr-defined]
            element = ", ".join(f"o{k}" for k in range(rank))
            instance = ", ".join(dims(s.rank))
            everything = isl.Map(f"{{ {label}[{instance}] -> {names[array]}[{element}] }}")
            reads.append(everything.intersect_domain(domain))
    return union_map(reads), union_map(writes)


MOST_KNOWN = 256  # more than the kernels of one program
_known: OrderedDict[Hashable, Dependences] = OrderedDict()


def dependences_of(scop: ScopOp) -> Dependences:
    """The dependences of `scop`, those of the last few scops from memory: a schedule is chosen,
    checked and lowered one after the other."""
    key = _description(scop)
    if key not in _known:
        _known[key] = _compute(scop)
        if len(_known) > MOST_KNOWN:
            _known.popitem(last=False)
    _known.move_to_end(key)
    return _known[key]


def _description(scop: ScopOp) -> Hashable:
    """All of `scop` that dependences are computed from."""
    names = array_names(scop)
    return tuple(
        (
            position,
            s.sym_name.data,
            s.domain.data,
            s.reduction,
            exact_update(s),
            names[s.target],
            str(s.write.data),
            tuple((names[a], str(m)) for a, m in zip(s.sources, s.read_maps, strict=True)),
            tuple(names[array] for array in indirect_reads(s)),
        )
        for position, s in zip(scop.positions, scop.statements, strict=True)
    )


def _compute(scop: ScopOp) -> Dependences:
    """The dependences of `scop`: value-based flow, memory-based reads, anti and output.

    Reduction pairs are those between updates of one element that may change places (updates.py),
    through the accumulators of both. Only these are relaxed, so reassociating is sound even where a
    reduction reads its target elsewhere too (the factorisations: A[i, j] -= A[i, k] * A[k, j]).
    Take any read of an element that is not an accumulator's: each update of the element that
    preceded it in original order is a pair in `reads`, each that followed it a pair in `anti`, and
    neither is relaxed. So in every legal order the read comes after the same set of updates, and
    its value differs by their association at most. Where an update reads its own element a second
    time, its value depends on its place among the others, and its pairs with them are kept for that
    reason.
    """
    schedule = original_schedule(scop).intersect_domain(domains_of(scop))
    reads, writes = accesses_of(scop)
    order = OriginalOrder.of(scop)
    every = memory_between(reads, writes, order)
    anti = memory_between(writes, reads, order)
    output = memory_between(writes, writes, order)
    pairs = every.union(anti).union(output)
    reduction = isl.UnionMap("{ }")
    for updates in updates_of(scop):
        relaxed = _pairs_of_updates(scop, updates, writes, pairs, order)
        reduction = reduction.union(relaxed)
    return Dependences(every, anti, output, reduction, ValueFlow(reads, writes, schedule))


def _pairs_of_updates(
    scop: ScopOp,
    updates: Updates,
    writes: UnionMap,
    pairs: UnionMap,
    order: OriginalOrder,
) -> UnionMap:
    """The part of `pairs` between instances of `updates` that may change places."""
    members = [scop.statement(name) for name in updates.accumulators]
    instances = union_set([domain_set(s.domain.data, s.sym_name.data) for s in members])
    writer = writes.intersect_domain(instances)
    relaxed = pairs.intersect(writer.apply_range(writer.reverse()))
    if any(_reads_target_otherwise(s, updates.accumulators[s.sym_name.data]) for s in members):
        operands, _ = accesses_of(scop, without=updates.accumulators)
        operands = operands.intersect_domain(instances)
        relaxed = relaxed.subtract(memory_between(operands, writer, order))
        relaxed = relaxed.subtract(memory_between(writer, operands, order))
    return relaxed


def _reads_target_otherwise(statement: StatementOp, accumulator: int) -> bool:
    others = [a for k, a in enumerate(statement.sources) if k != accumulator]
    return statement.target in (*others, *indirect_reads(statement))
