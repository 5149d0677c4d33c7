"""State while a schedule is chosen: the loops of each statement still open, and the steps so far.

Dims of different statements belong to one *class* when they index the same dim of a temporary:
such loops can be fused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from xdsl.ir import SSAValue

from ....costmodel.hardware import Machine
from ....dialects.errors import IllegalScheduleError
from ....dialects.poly import ArrayOp, ScopOp, StatementOp
from ....dialects.schedule import Fuse, Node, Reorder, Split, Step
from ..access_patterns import (
    Contraction,
    contraction_of,
    is_part,
    parallel_dims,
    vector_dim,
    widest_in_lanes,
)
from ..affine_maps import plain_dim
from ..array_shapes import shape_of
from ..primitives import apply_step, original_tree
from ..sets import box_extents

Dim = tuple[str, int]


@dataclass(frozen=True)
class Loop:
    """An open loop of one statement: its class, and the name of its band in the tree."""

    cls: int
    band: str


def dim_classes(
    statements: dict[str, StatementOp], extents: dict[str, tuple[int, ...]]
) -> dict[Dim, int]:
    """Union-find over (statement, dim); two dims of one statement never share a class."""
    parent: dict[Dim, Dim] = {
        (name, d): (name, d) for name, s in statements.items() for d in range(s.rank)
    }

    def root(x: Dim) -> Dim:
        while parent[x] != x:
            x = parent[x]
        return x

    first_use: dict[tuple[object, int], Dim] = {}
    shared = _shared_outer(statements, extents)
    for name, s in statements.items():
        for array, access in zip((s.target, *s.sources), (s.write.data, *s.read_maps), strict=True):
            if not isinstance(array.owner, ArrayOp) and array not in shared:
                continue
            for p, expr in enumerate(access.results):
                d = plain_dim(expr)
                if d is None or extents[name][d] != shape_of(array)[p]:
                    continue
                if p >= shared.get(array, p + 1):
                    continue
                here = root((name, d))
                there = root(first_use.setdefault((array, p), here))
                members = [n for n, e in parent if root((n, e)) in (here, there)]
                if here != there and len(set(members)) == len(members):
                    parent[here] = there
    ids: dict[Dim, int] = {}
    return {x: ids.setdefault(root(x), len(ids)) for x in parent}


def _shared_outer(
    statements: dict[str, StatementOp], extents: dict[str, tuple[int, ...]]
) -> dict[SSAValue, int]:
    """Results that several statements write parts of -> how many of their outer dims all of these
    run over: parts of one row are written by one thread, and columns side by side are interleaved.

    Sums are not parts, nor are fills, whose place is beside one nest (`border_fills.py`).
    """
    writers: dict[SSAValue, list[str]] = {}
    for name, s in statements.items():
        writers.setdefault(s.target, []).append(name)
    read = {array for s in statements.values() for array in s.sources}
    found = {}
    for array, names in writers.items():
        parts = [statements[name] for name in names]
        if len(parts) > 1 and array not in read and all(map(is_part, parts)):
            common = [_whole_dims(statements[name], extents[name]) for name in names]
            found[array] = min(common)
    return found


def _whole_dims(statement: StatementOp, extents: tuple[int, ...]) -> int:
    """How many outer dims of what it writes `statement` runs over from end to end."""
    for p, expr in enumerate(statement.write.data.results):
        d = plain_dim(expr)
        if d is None or extents[d] != shape_of(statement.target)[p]:
            return p
    return len(statement.write.data.results)


@dataclass
class LoopPlan:
    """Open loops per statement, outermost first; every change is a schedule step.

    `lanes` is the vector length of the kernel, 1 for scalar code; `threads` will share it.
    """

    scop: ScopOp
    machine: Machine
    lanes: int
    threads: int = 1
    steps: list[Step] = field(default_factory=list)
    serial: int = 0

    def __post_init__(self) -> None:
        self.statements = {s.sym_name.data: s for s in self.scop.statements}
        self.extents: dict[str, tuple[int, ...]] = {}
        for name, s in self.statements.items():
            box = box_extents(s.domain.data)
            if box is None:  # a block of a reduction that a choice cut where rows are not whole
                raise IllegalScheduleError(
                    f"{name}: expected a box of loops, found {s.domain.data}"
                )
            self.extents[name] = box
        self.tree: Node = original_tree(self.scop)
        self.class_of = dim_classes(self.statements, self.extents)
        self.open: dict[str, list[Loop]] = {
            name: [Loop(self.class_of[name, d], f"{name}.i{d}") for d in range(s.rank)]
            for name, s in self.statements.items()
        }
        self.contractions: dict[str, Contraction] = {
            name: c for name, s in self.statements.items() if (c := contraction_of(s)) is not None
        }

    def step(self, step: Step) -> None:
        """Record `step` and apply it to the tree."""
        self.tree = apply_step(self.tree, step)
        self.steps.append(step)

    def band(self, name: str, cls: int) -> str | None:
        """The open loop of `name` for class `cls`."""
        return next((loop.band for loop in self.open[name] if loop.cls == cls), None)

    def dim(self, name: str, cls: int) -> int | None:
        """The dim of `name` in class `cls`."""
        dims = range(len(self.extents[name]))
        return next((d for d in dims if self.class_of[name, d] == cls), None)

    def extent(self, name: str, cls: int) -> int:
        """Iterations of class `cls` in `name`."""
        d = self.dim(name, cls)
        assert d is not None
        return self.extents[name][d]

    def is_parallel(self, name: str, cls: int) -> bool:
        """Whether `name` has an open loop of class `cls` over the elements it writes."""
        return self.band(name, cls) is not None and self.dim(name, cls) in parallel_dims(
            self.statements[name]
        )

    def vector_class(self, name: str) -> int | None:
        """The class that `name` wants as vector lanes; None where its elements are wider than
        those that the lanes were chosen for, too."""
        s = self.statements[name]
        d = vector_dim(s, self.extents[name])
        if d is None or self.machine.lanes(widest_in_lanes(s, d)) < self.lanes:
            return None
        return self.class_of[name, d]

    def shared(self, group: Sequence[str]) -> list[int]:
        """Classes that are open and parallel in all of `group`, in the order of its last member."""
        return [
            loop.cls
            for loop in self.open[group[-1]]
            if all(self.is_parallel(n, loop.cls) for n in group)
        ]

    def split(self, name: str, cls: int, factor: int) -> str:
        """Split the open loop of `cls`; the outer part stays open. Returns the inner loop."""
        band = self.band(name, cls)
        assert band is not None
        self.step(Split(band, factor, f"{band}o", f"{band}i"))
        self.open[name] = [
            Loop(cls, f"{band}o") if loop.cls == cls else loop for loop in self.open[name]
        ]
        return f"{band}i"

    def shorten(self, name: str, cls: int, extent: int) -> None:
        """Plan for at most `extent` iterations of `cls`: a block of them is what is open."""
        d = self.dim(name, cls)
        assert d is not None
        old = self.extents[name]
        self.extents[name] = (*old[:d], min(old[d], extent), *old[d + 1 :])

    def close(self, name: str, cls: int) -> str:
        """Take the loop of `cls` from the open loops; returns its band."""
        band = self.band(name, cls)
        assert band is not None
        self.open[name] = [loop for loop in self.open[name] if loop.cls != cls]
        return band

    def reorder(self, name: str, classes: Sequence[int], inner: Sequence[str] = ()) -> None:
        """Order the open loops of `name`: `classes` first, the others after, then loops `inner`."""
        first = [loop for cls in classes for loop in self.open[name] if loop.cls == cls]
        self.open[name] = first + [loop for loop in self.open[name] if loop not in first]
        bands = [*(loop.band for loop in self.open[name]), *inner]
        if len(bands) > 1:
            self.step(Reorder(tuple(bands)))

    def fuse(self, group: Sequence[str], cls: int) -> None:
        """Fuse the outermost open loops of `group`, which are of class `cls`, and close them."""
        self.serial += 1
        self.step(Fuse(tuple(self.open[n][0].band for n in group), f"i{self.serial}"))
        for n in group:
            assert self.open[n][0].cls == cls
            self.open[n] = self.open[n][1:]
