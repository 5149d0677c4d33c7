"""Schedules as data: the steps a schedule is made of, and the loop tree they act on.

A tree gives every statement instance its place in time: bands are loops over quasi-affine
expressions of the iteration dims `i0, i1, ...`, sequences put subtrees one after the other.
Steps are frozen, printable, hashable and replayable (tinygrad `Opt`, TVM trace).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Literal

from .errors import IllegalScheduleError

Kind = Literal["for", "parallel", "unroll", "vector"]


@dataclass(frozen=True)
class Leaf:
    """All instances of one statement that the bands above left together: exactly one."""

    statement: str


@dataclass(frozen=True)
class Band:
    """One loop: `exprs` gives, for each statement below, the value of the loop variable `axis`.

    `lanes` is the vector length of a "vector" band.
    """

    axis: str
    exprs: tuple[tuple[str, str], ...]
    body: Node
    kind: Kind = "for"
    lanes: int = 0


@dataclass(frozen=True)
class Chain:
    """Subtrees executed in order."""

    children: tuple[Node, ...]


Node = Leaf | Band | Chain


def chain(children: Sequence[Node]) -> Node:
    """A chain of `children`, nested chains flattened; the child itself where there is one."""
    flat: list[Node] = []
    for child in children:
        flat.extend(child.children if isinstance(child, Chain) else [child])
    return flat[0] if len(flat) == 1 else Chain(tuple(flat))


def statements_of(node: Node) -> list[str]:
    """The statements below `node`, in tree order."""
    match node:
        case Leaf(statement):
            return [statement]
        case Band():
            return statements_of(node.body)
        case Chain(children):
            return [s for child in children for s in statements_of(child)]


def bands_of(node: Node) -> Iterator[Band]:
    """Every band below `node`, outermost first."""
    match node:
        case Band():
            yield node
            yield from bands_of(node.body)
        case Chain(children):
            for child in children:
                yield from bands_of(child)


def find_band(tree: Node, axis: str) -> Band:
    """The band of `axis`; IllegalScheduleError where there is none."""
    for band in bands_of(tree):
        if band.axis == axis:
            return band
    known = ", ".join(b.axis for b in bands_of(tree))
    raise IllegalScheduleError(f"no loop is called {axis!r}; the loops are {known}")


def tree_text(node: Node, depth: int = 0) -> str:
    """A readable, indented picture of the tree."""
    pad = "  " * depth
    match node:
        case Leaf(statement):
            return f"{pad}{statement}\n"
        case Band():
            exprs = ", ".join(f"{s}: {e}" for s, e in node.exprs)
            return f"{pad}{node.kind} {node.axis}  [{exprs}]\n" + tree_text(node.body, depth + 1)
        case Chain(children):
            return "".join(tree_text(c, depth) for c in children)


@dataclass(frozen=True)
class Step:
    """Base of all schedule steps."""

    def __str__(self) -> str:
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()
        values = [getattr(self, f.name) for f in fields(self)]
        texts = ["+".join(v) if isinstance(v, tuple) else str(v) for v in values]
        return f"{name}({', '.join(texts)})"


@dataclass(frozen=True)
class Split(Step):
    """axis == outer * factor + inner (Halide/TVM split, Exo divide_loop).

    before: for i in 0..n: S(i)
    after:  for io in 0..ceil(n/f): for ii in 0..f: if io*f + ii < n: S(io*f + ii)
    legal:  always (order of instances is unchanged)
    """

    axis: str
    factor: int
    outer: str
    inner: str


@dataclass(frozen=True)
class Reorder(Step):
    """Put perfectly nested loops into the order `axes` (TVM reorder; interchange for two).

    before: for i: for j: S(i, j)
    after:  for j: for i: S(i, j)
    legal:  no dependence becomes lexicographically negative
    """

    axes: tuple[str, ...]


@dataclass(frozen=True)
class Fuse(Step):
    """One loop `name` around neighbouring loop nests (loop fusion; isl band over a sequence).

    before: for i: S(i);  for j: T(j)
    after:  for x: S(x); T(x)
    legal:  no dependence from an instance of a later nest to an earlier iteration of x
    """

    axes: tuple[str, ...]
    name: str


@dataclass(frozen=True)
class Distribute(Step):
    """The inverse of fuse: one loop per child of the chain in the body of `axis`.

    before: for x: S(x); T(x)
    after:  for x_0: S(x_0);  for x_1: T(x_1)
    legal:  no dependence from T at one iteration to S at a later one
    """

    axis: str


@dataclass(frozen=True)
class Parallelize(Step):
    """Iterations of `axis` may run at the same time.

    before: for i: S(i)
    after:  parallel for i: S(i)
    legal:  no dependence between different iterations, at equal outer iterations
    """

    axis: str


@dataclass(frozen=True)
class Unroll(Step):
    """Repeat the body of a loop with constant bounds once per iteration.

    before: for i in 0..2: S(i)
    after:  S(0); S(1)
    legal:  always
    """

    axis: str


@dataclass(frozen=True)
class Vectorize(Step):
    """Execute the iterations of `axis` as lanes of vector instructions, masked where partial.

    before: for i in 0..16: y[i] = x[i] + 1
    after:  y[0:16] = x[0:16] + 1
    legal:  as parallelize, reductions into one element excepted: they use a fixed tree;
            the loop runs from 0 to at most lanes - 1
    """

    axis: str
    lanes: int


STEPS: dict[str, type[Step]] = {
    "split": Split,
    "reorder": Reorder,
    "fuse": Fuse,
    "distribute": Distribute,
    "parallelize": Parallelize,
    "unroll": Unroll,
    "vectorize": Vectorize,
}


def parse_step(text: str) -> Step:
    """The step that prints as `text`; IllegalScheduleError for anything else."""
    match = re.fullmatch(r"\s*(\w+)\((.*)\)\s*", text)
    if match is None or match.group(1) not in STEPS:
        raise IllegalScheduleError(
            f"expected a schedule step such as split(i, 16, io, ii), found {text!r}; "
            f"steps are {', '.join(STEPS)}"
        )
    step = STEPS[match.group(1)]
    values = [v.strip() for v in match.group(2).split(",")]
    if len(values) != len(fields(step)):
        raise IllegalScheduleError(
            f"{match.group(1)} takes {len(fields(step))} arguments, found {len(values)}: {text!r}"
        )
    arguments: list[str | int | tuple[str, ...]] = []
    for field, value in zip(fields(step), values, strict=True):
        if field.type == "int":
            if not value.isdecimal() or int(value) < 1:
                raise IllegalScheduleError(f"expected a positive integer, found {value!r}")
            arguments.append(int(value))
            continue
        names = [value] if field.type == "str" else value.split("+")
        for name in names:
            if re.fullmatch(r"[A-Za-z_][\w.]*", name) is None:
                raise IllegalScheduleError(f"expected a loop name, found {name!r} in {text!r}")
        arguments.append(value if field.type == "str" else tuple(names))
    return step(*arguments)
