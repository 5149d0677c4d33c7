"""One grouping of the ops of main, who reads whom in it, and a name for equal kernels."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue

from ....dialects.graph import GraphOp, WeightOp
from ..deduplicate_kernels import IGNORED_ATTRIBUTES
from ..groups import Group, check_groups_are_legal, computed_ops, consumers, producers
from ..layout_access import under_reshapes


class Program:
    """What is the same for all groupings of a main: its computed ops, their order and readers."""

    def __init__(self, main: FuncOp) -> None:
        self.main = main
        self.computed = computed_ops(main)
        self.position: dict[Operation, int] = {op: i for i, op in enumerate(self.computed)}
        self.readers = consumers(self.computed, main)
        self.reads = {op: list(dict.fromkeys(producers(op, self.position))) for op in self.computed}
        self.end = main.body.block.last_op

    def group(self, ops: Iterable[Operation], copies: Iterable[Operation] = ()) -> Group:
        """A group of `ops` in program order."""
        ordered = sorted(set(ops), key=self.position.__getitem__)
        members = tuple(op for op in ordered if isinstance(op, GraphOp))
        copied = set(copies)
        return Group(members, frozenset(op for op in members if op in copied))


class Partition:
    """A grouping of `program`. Equal groups of ops are one object in it."""

    def __init__(self, program: Program, groups: Sequence[Group]) -> None:
        self.program, self.groups = program, tuple(groups)
        self.home: dict[Operation, Group] = {op: g for g in groups for op in g.owned}
        self.users: dict[Operation, list[Group]] = {op: [] for op in program.computed}
        for group in self.groups:
            for op in group.ops:
                self.users[op].append(group)

    def replaced(self, old: Sequence[Group], new: Sequence[Group]) -> Partition:
        """The grouping with `new` in the place of `old`; LoweringError where it is not legal."""
        gone = set(old)
        groups = [*(g for g in self.groups if g not in gone), *new]
        check_groups_are_legal(groups, self.program.main)
        return Partition(self.program, groups)

    def has(self, groups: Iterable[Group]) -> bool:
        """Whether all of `groups` are still there."""
        return all(g in self.users[g.ops[0]] for g in groups)

    def sources(self, group: Group) -> list[Group]:
        """The groups whose results `group` reads, each once, in a fixed order."""
        inside = set(group.ops)
        found = [p for op in group.ops for p in self.program.reads[op] if p not in inside]
        return list(dict.fromkeys(self.home[p] for p in found))

    def results(
        self, group: Group, old: Sequence[Group] = (), new: Sequence[Group] = ()
    ) -> tuple[SSAValue, ...]:
        """What the kernel of `group` writes since some other one, or who calls main, reads it,
        once `new` groups are in the place of `old` ones."""
        found = []
        for op in group.owned:
            for reader in self.program.readers[op]:
                users = [g for g in self.users.get(reader, ()) if g not in old]
                users += [g for g in new if reader in g.ops]
                if not users or any(op not in g.ops for g in users):
                    found.append(op.result)
                    break
        return tuple(found)


def kernel_key(group: Group, results: Sequence[SSAValue], program: Program) -> Hashable:
    """Equal for groups whose kernels are equal but for names and places in the source."""
    inside: dict[SSAValue, int] = {op.result: k for k, op in enumerate(group.ops)}
    numbers: dict[SSAValue, int] = {}

    def reference(value: SSAValue) -> Hashable:
        if value in inside:
            return inside[value]
        owner, root = value.owner, under_reshapes(value).owner
        is_weight = isinstance(owner, WeightOp)
        is_stored = is_weight or not isinstance(root, GraphOp) or root in program.position
        if is_stored and root not in group.ops:
            return "argument", is_weight, value.type, numbers.setdefault(value, len(numbers))
        assert isinstance(owner, GraphOp)
        return described(owner)

    def described(op: GraphOp) -> Hashable:
        attributes = [(k, v) for k, v in op.attributes.items() if k not in IGNORED_ATTRIBUTES]
        read = tuple(reference(operand) for operand in op.operands)
        properties = tuple(sorted(op.properties.items(), key=lambda item: item[0]))
        return op.name, properties, tuple(attributes), op.result.type, read

    return tuple(described(op) for op in group.ops), tuple(inside[v] for v in results)
