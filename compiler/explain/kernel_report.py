"""Everything about a scheduled kernel in one report: printable, and plain data for JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

from xdsl.dialects import memref
from xdsl.dialects.builtin import MemRefType
from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue

from ...dialects.poly import ArrayOp, ScopOp, extents_of
from ...dialects.schedule import Step, parse_steps, tree_text
from ...passes.poly.dependences.dependences import array_names, dependences_of
from ...passes.poly.primitives import original_tree
from ...passes.poly.scheduled import apply_schedule
from ...passes.poly.storage import KERNEL, Place, element_bytes, place_arrays
from .affine_text import affine_text, named_text
from .dependence_vectors import DependenceFacts, dependence_facts
from .statement_text import element_text, statement_text


@dataclass(frozen=True)
class ArrayFacts:
    """An array: what the kernel does to it, and for a temporary where it lives."""

    name: str
    type: str
    role: str
    place: str | None = None
    bytes: int | None = None


@dataclass(frozen=True)
class StatementFacts:
    """A statement: what each instance computes, and for which instances."""

    name: str
    text: str
    domain: str
    write: str
    reads: tuple[str, ...]
    reduction: str | None


@dataclass(frozen=True)
class KernelReport:
    """A kernel before and after its schedule.

    `sizes` are those that are known at run time, `context` the values of them that it takes.
    `rewritten` has the statements that the schedule acts on where they are not the original ones.
    """

    name: str
    sizes: tuple[str, ...]
    context: str
    arrays: tuple[ArrayFacts, ...]
    statements: tuple[StatementFacts, ...]
    dependences: tuple[DependenceFacts, ...]
    before: str
    steps: tuple[str, ...]
    rewritten: tuple[StatementFacts, ...]
    after: str
    temporaries: tuple[ArrayFacts, ...]
    sources: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    def __str__(self) -> str:
        has_sizes = bool(self.sizes)
        parts = [
            f"kernel {self.name}",
            *([section("sizes", [f"{', '.join(self.sizes)}  where {self.context}"])] * has_sizes),
            section("arrays", map(_array_line, self.arrays)),
            section("statements", map(_statement_lines, self.statements)),
            section("dependences", map(_dependence_line, self.dependences)),
            section("loops before", [self.before.rstrip()]),
            section("steps", self.steps),
        ]
        if self.rewritten:
            parts.append(section("statements after", map(_statement_lines, self.rewritten)))
        parts.append(section("loops after", [self.after.rstrip()]))
        if self.temporaries:
            parts.append(section("temporaries", map(_array_line, self.temporaries)))
        parts += [f"{name}:\n{text}" for name, text in self.sources.items()]
        return "\n\n".join(parts)


def section(title: str, entries: Any) -> str:
    """A title, and its entries indented."""
    lines = [line for entry in entries for line in str(entry).splitlines()]
    return "\n".join([f"{title}:", *(f"  {line}" for line in lines or ["none"])])


def _array_line(array: ArrayFacts) -> str:
    place = "" if array.place is None else f", {array.place}"
    size = "" if array.bytes is None else f", {array.bytes} bytes"
    return f"{array.name}: {array.type}, {array.role}{place}{size}"


def _statement_lines(statement: StatementFacts) -> str:
    kind = "" if statement.reduction is None else f"    (reduction by {statement.reduction})"
    return f"{statement.name}: {statement.text}{kind}\n    {statement.domain}"


def _dependence_line(fact: DependenceFacts) -> str:
    vectors = " ".join(f"({', '.join(v)})" for v in fact.vectors)
    loops = f" in ({', '.join(fact.loops)})" if fact.loops else ""
    note = ", reduction" if fact.is_reduction else ""
    return f"{fact.kind:<6} {fact.source} -> {fact.sink} by {fact.array}: {vectors}{loops}{note}"


def kernel_report(
    original: ScopOp, scheduled: ScopOp, func: FuncOp | None, sources: Mapping[str, str]
) -> KernelReport:
    """The report of `original`, which became `scheduled` (with its `schedule` property).

    `func` are its loops, which tell the temporaries that became registers.
    """
    text = scheduled.schedule.data if scheduled.schedule is not None else ""
    steps: list[Step] = parse_steps(text)
    rewritten, tree = apply_schedule(scheduled, steps)
    before, after = original_tree(original), statement_facts(rewritten)
    statements = statement_facts(original)
    return KernelReport(
        name=original.sym_name.data,
        sizes=tuple(original.parameters),
        context=context_text(original),
        arrays=array_facts(original),
        statements=statements,
        dependences=tuple(dependence_facts(original)),
        before=tree_text(before),
        steps=tuple(map(str, steps)),
        rewritten=after if after != statements else (),
        after=tree_text(tree),
        temporaries=temporary_facts(
            rewritten, place_arrays(rewritten, tree, dependences_of(rewritten)), func
        ),
        sources=dict(sources),
    )


def statement_facts(scop: ScopOp) -> tuple[StatementFacts, ...]:
    """What every statement does."""
    names, sizes = array_names(scop), scop.parameters
    return tuple(
        StatementFacts(
            name=s.sym_name.data,
            text=statement_text(s, names, sizes),
            domain=named_text(s.domain.data, sizes),
            write=element_text(names[s.target], s.write.data, sizes),
            reads=tuple(
                element_text(names[array], access, sizes)
                for array, access in zip(s.sources, s.read_maps, strict=True)
            ),
            reduction=None if s.reduction is None else s.reduction.data,
        )
        for s in scop.statements
    )


def array_facts(scop: ScopOp) -> tuple[ArrayFacts, ...]:
    """Arguments with their roles, then temporaries."""
    names = array_names(scop)
    arguments = [
        ArrayFacts(names[a], type_text(a, scop.parameters), role.data)
        for a, role in zip(scop.body.block.args, scop.roles, strict=True)
    ]
    locals = [
        ArrayFacts(names[op.result], type_text(op.result, scop.parameters), "temporary")
        for op in scop.body.block.ops
        if isinstance(op, ArrayOp)
    ]
    return (*arguments, *locals)


def temporary_facts(
    scop: ScopOp, places: Mapping[SSAValue, Place], func: FuncOp | None
) -> tuple[ArrayFacts, ...]:
    """Where each temporary of the scheduled scop lives, and how large it is there."""
    names = array_names(scop)
    in_memory = (
        {op.memref.name_hint for op in func.walk() if isinstance(op, memref.AllocaOp)}
        if func is not None
        else None
    )
    facts = []
    for array, place in places.items():
        if place.axis is None:
            where = "scratch argument"
        elif in_memory is not None and array.name_hint not in in_memory:
            where = "in registers"
        else:
            where = "local to the kernel" if place.axis == KERNEL else f"local to {place.axis}"
        is_dynamic = any(n < 0 for n in place.shape)
        extents = "x".join(map(str, place.shape)) or "scalar"
        facts.append(
            ArrayFacts(
                names[array],
                type_text(array, scop.parameters),
                "temporary",
                where if is_dynamic else f"{where} as {extents}",
                None if is_dynamic else prod(place.shape) * element_bytes(array),
            )
        )
    return tuple(facts)


def context_text(scop: ScopOp) -> str:
    """The values of the sizes for which `scop` is defined."""
    if scop.context is None:
        return ""
    text = scop.context.data
    inside = text[text.index(":") + 1 : text.rindex("}")]
    return " ".join(named_text(inside, scop.parameters).split())


def type_text(array: SSAValue, sizes: Sequence[str]) -> str:
    """`f64[20, n + 1]`."""
    assert isinstance(array.type, MemRefType)
    extents = ", ".join(affine_text(e, sizes) for e in extents_of(array))
    return f"{array.type.element_type}[{extents}]" if extents else str(array.type.element_type)
