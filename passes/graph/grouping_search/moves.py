"""The local changes of a grouping that a search tries. Each replaces some groups by others.

merge      [a] [b]          ->  [a b]          b reads a
split      [a b]            ->  [a] [b]
shift      [a b] [c]        ->  [a] [b c]      an op at the border changes sides
copy       [a b] [c] [d]    ->  [a] [b c] [b d] what is computed element by element, by each reader

Whether the result is legal is the question of `check_groups_are_legal`, as for the rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from xdsl.ir import Operation

from ....dialects.graph import CatOp, GraphOp, PadOp, ViewOp
from ....dialects.graph.opaque import OpaqueOp
from ..fusion_rules import ELEMENTWISE, LARGEST_GROUP
from ..groups import Group
from .partition import Partition, Program

CHEAP = ELEMENTWISE | ViewOp | CatOp | PadOp
MOST_COPIES = 4


@dataclass(frozen=True)
class Move:
    """`new` groups in the place of `old` ones."""

    kind: str
    old: tuple[Group, ...]
    new: tuple[Group, ...]


def moves(partition: Partition) -> Iterator[Move]:
    """All moves from `partition`, in program order, that leave groups of bearable size."""
    for group in partition.groups:
        if _is_opaque(group):
            continue
        for source in partition.sources(group):
            if not _is_opaque(source):
                yield from _sized(_between(partition, source, group))
        yield from _sized(_splits(partition.program, group))
        yield from _sized(_copies(partition, group))


def _sized(found: Iterator[Move]) -> Iterator[Move]:
    for move in found:
        if all(len(group.ops) <= LARGEST_GROUP for group in move.new):
            yield move


def _between(partition: Partition, source: Group, group: Group) -> Iterator[Move]:
    """Moves over the border between `group` and one that it reads."""
    program = partition.program
    merged = _with(program, group, *source.ops, owned=source.owned)
    yield Move("merge", (source, group), (merged,))
    if source.copies or group.copies:
        return
    first, last = group.ops[0], source.ops[-1]
    if len(group.ops) > 1 and set(program.reads[first]) & set(source.ops):
        rest = program.group(group.ops[1:])
        yield Move("shift", (source, group), (program.group((*source.ops, first)), rest))
    if len(source.ops) > 1 and program.readers[last] & set(group.ops):
        rest = program.group(source.ops[:-1])
        yield Move("shift", (source, group), (rest, program.group((last, *group.ops))))


def _splits(program: Program, group: Group) -> Iterator[Move]:
    if group.copies:
        return
    for cut in range(1, len(group.ops)):
        halves = program.group(group.ops[:cut]), program.group(group.ops[cut:])
        yield Move("split", (group,), halves)


def _copies(partition: Partition, group: Group) -> Iterator[Move]:
    """An op of `group` that all its readers elsewhere compute themselves."""
    program = partition.program
    for op in group.owned:
        others = _reading_groups(partition, op, group)
        if not isinstance(op, CHEAP) or program.end in program.readers[op] or not others:
            continue
        if len(others) > MOST_COPIES or any(_is_opaque(g) for g in others):
            continue
        is_read_here = any(reader in group.ops for reader in program.readers[op])
        if len(others) == 1 and not is_read_here and op is group.ops[-1]:
            continue  # which is a shift, or a merge
        is_moved = len(others) == 1 and not is_read_here
        new = [_with(program, g, op, owned=[op] if is_moved else []) for g in others]
        if is_read_here:
            new = [group, *new]
        elif len(group.ops) > 1:
            rest = [member for member in group.ops if member is not op]
            new = [program.group(rest, group.copies), *new]
        yield Move("copy", (group, *others), tuple(new))


def _with(program: Program, group: Group, *ops: GraphOp, owned: list[GraphOp]) -> Group:
    """`group` with `ops` too, of which it hands those in `owned` to others."""
    copies = (group.copies | (set(ops) - set(group.ops))) - set(owned)
    return program.group((*group.ops, *ops), copies)


def _reading_groups(partition: Partition, op: Operation, group: Group) -> list[Group]:
    """Other groups that read `op` and have no copy of it."""
    readers = sorted(
        (r for r in partition.program.readers[op] if r is not partition.program.end),
        key=partition.program.position.__getitem__,
    )
    users = [g for r in readers for g in partition.users[r] if g is not group and op not in g.ops]
    return list(dict.fromkeys(users))


def _is_opaque(group: Group) -> bool:
    return any(isinstance(op, OpaqueOp) for op in group.ops)
