"""The tensors between steps of a program: their bytes, readers, and what computes them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ....dialects.graph import GraphOp
from ....dialects.graph.opaque import OpaqueOp
from ..groups import producers
from ..patches.arithmetic import operations
from ..patches.steps import Program, aligned, bytes_of


@dataclass(frozen=True, eq=False)
class Kept:
    """A tensor that passes between steps.

    `ops` of its step, in order, compute it from the tensors `sources`; `readers` are the steps that
    read it; before the steps `moments` it may be worth computing again.
    """

    op: GraphOp
    home: int
    bytes: int
    readers: tuple[int, ...]
    ops: tuple[GraphOp, ...]
    sources: tuple[GraphOp, ...]
    moments: tuple[int, ...]

    @property
    def operations(self) -> int:
        """The arithmetic of computing it once more."""
        return sum(map(operations, self.ops))


def kept_tensors(program: Program) -> list[Kept]:
    """All tensors that steps leave in the arena, or in results of the model (which take none)."""
    written = [op for step in program.steps for op in step.writes]
    moments: dict[GraphOp, set[int]] = {op: set(program.readers_of(op)) for op in written}
    found = []
    for op in reversed(written):  # whoever needs it to be computed again comes later
        home = program.home[op]
        ops, sources = slice_of(program, op)
        late = {step for step in moments[op] if step > home + 1}
        if op in program.returned or not all(is_repeatable(one) for one in ops):
            late = set()
        for source in sources:
            moments[source] |= late
        size = 0 if op in program.returned else aligned(bytes_of(op.result))
        readers = tuple(program.readers_of(op))
        found.append(Kept(op, home, size, readers, ops, sources, tuple(sorted(late))))
    return found[::-1]


def is_repeatable(op: GraphOp) -> bool:
    """Whether an op may run twice; sorting, recurrent layers and the like are never cheap."""
    return len(op.results) == 1 and not isinstance(op, OpaqueOp)


def slice_of(program: Program, op: GraphOp) -> tuple[tuple[GraphOp, ...], tuple[GraphOp, ...]]:
    """The ops of the step of `op` that compute it, in order; the tensors they read."""
    home, needed, pending = program.home[op], {op}, [op]
    sources: dict[GraphOp, None] = {}
    while pending:
        for producer in producers(pending.pop(), program.home):
            assert isinstance(producer, GraphOp)
            if program.home[producer] != home:
                sources[producer] = None
            elif producer not in needed:
                needed.add(producer)
                pending.append(producer)
    return tuple(o for o in program.steps[home].ops if o in needed), tuple(sources)


def index_of(tensors: Sequence[Kept]) -> dict[GraphOp, int]:
    """The position of each tensor, by the op that computes it."""
    return {tensor.op: k for k, tensor in enumerate(tensors)}
