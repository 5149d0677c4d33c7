"""Blocked factorizations: a kernel that updates one matrix in place, step by step, in blocks.

before: for i: for j: { for k < min(i, j): A[i, j] -= A[i, k] * A[k, j];  scale A[i, j] }
after:  for each block of steps d:
            the diagonal block; the panel below it; the panel to its right;
            everything behind them: a contraction over block d, register-tiled

(Right-looking LU and Cholesky as in LAPACK, here by splitting domains along block boundaries.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ....costmodel.hardware import Machine
from ....dialects.errors import IllegalScheduleError
from ....dialects.poly import ScopOp, StatementOp
from ....dialects.schedule import (
    Band,
    Chain,
    Kind,
    Leaf,
    Merge,
    Node,
    Pack,
    Rearrange,
    Rewrite,
    SplitDomain,
    Step,
    chain,
    compact_text,
    statements_of,
)
from ..access_patterns import reduction_dims, stride
from ..affine_maps import plain_dim
from ..array_shapes import shape_of
from ..dependences.dependences import dependences_of
from ..dependences.legality import check_schedule_is_legal
from ..primitives import original_tree
from ..rewrites import apply_rewrite
from ..sets import isl
from ..storage import element_bytes
from .contraction import ContractionNest, axes_of
from .dense import first_legal, tiling_for

# (class, condition on the blocks of row r, column c and step d), in the order of execution
CLASSES = (
    ("diagonal", "{r} = {d} and {c} = {d}"),
    ("below", "{r} > {d} and {c} = {d}"),
    ("right", "{r} = {d} and {c} > {d}"),
    ("behind", "{r} > {d} and {c} > {d}"),
)


@dataclass(frozen=True)
class Place:
    """Row and column of the element that a statement updates, and the step when it does."""

    row: str
    column: str
    step: str

    def blocks(self, size: int) -> dict[str, str]:
        """The blocks of row, column and step."""
        names = {"r": self.row, "c": self.column, "d": self.step}
        return {short: f"floor({expr}/{size})" for short, expr in names.items()}


def place_of(statement: StatementOp) -> Place | None:
    """Where and when `statement` works; None where it writes no matrix element by element.

    A reduction's step is the dim it runs over; another statement comes last, when row or column,
    whichever is first, is reached.
    """
    element = statement.write.data
    if len(element.results) != 2 and statement.sources:  # a copy into panels
        element = statement.read_maps[0]
    named = [plain_dim(e) for e in element.results]
    if len(named) != 2 or None in named:
        return None
    row, column = (f"i{d}" for d in named)
    reduced = reduction_dims(statement)
    if statement.reduction is not None:
        return Place(row, column, f"i{reduced[0]}") if len(reduced) == 1 else None
    domain = isl.Set(statement.domain.data)
    names = ", ".join(f"i{d}" for d in range(statement.rank))
    for first, second in ((row, column), (column, row)):
        if domain.is_subset(isl.Set(f"{{ [{names}] : {first} <= {second} }}")):
            return Place(row, column, first)
    return None


@dataclass
class BlockedFactorization:
    """Rewrites and loop tree; `scop` is changed on the way."""

    scop: ScopOp
    machine: Machine
    threads: int
    size: int

    def __post_init__(self) -> None:
        """Split every statement along the block boundaries."""
        self.rewrites: list[Rewrite] = []
        self.places: dict[str, Place] = {}
        self.members: dict[str, list[str]] = {label: [] for label, _ in CLASSES}
        for s in self.scop.statements:
            if len(s.write.data.results) != 2:
                raise IllegalScheduleError(
                    f"{s.sym_name.data} is no step of a factorization: it does not write a matrix"
                )
        self._merge()
        self._pack()
        for s in list(self.scop.statements):
            place = place_of(s)
            if place is None:
                raise IllegalScheduleError(
                    f"{s.sym_name.data} is no step of a factorization of a matrix in place"
                )
            self._split(s, place)

    def _apply(self, step: Rewrite) -> None:
        apply_rewrite(self.scop, step)
        self.rewrites.append(step)

    def _merge(self) -> None:
        """Make one statement of what the original loops do in two ranges of columns."""
        names = [s.sym_name.data for s in self.scop.statements]
        for k, name in enumerate(names):
            for other in names[k + 1 :]:
                try:
                    self._apply(Merge(name, other))
                except IllegalScheduleError:
                    continue

    def _pack(self) -> None:
        """Keep a copy of operands whose columns do not lie side by side, in panels of a block."""
        for s in [s for s in self.scop.statements if s.reduction is not None]:
            if len(s.write.data.used_dims()) < 2:
                continue
            column = plain_dim(s.write.data.results[-1])
            for k in range(1, len(s.sources)):
                access = s.read_maps[k]
                if column is None or stride(s.sources[k], access, column) in (0, 1):
                    continue
                position = [plain_dim(e) for e in access.results].index(column)
                try:
                    self._apply(Pack(s.sym_name.data, k, position, self.size))
                except IllegalScheduleError:
                    continue

    def _split(self, statement: StatementOp, place: Place) -> None:
        name = statement.sym_name.data
        names = ", ".join(f"i{d}" for d in range(statement.rank))
        domain = isl.Set(statement.domain.data)
        parts = []
        for label, pattern in CLASSES:
            condition = pattern.format(**place.blocks(self.size))
            part = domain.intersect(isl.Set(f"{{ [{names}] : {condition} }}"))
            if not part.is_empty():
                parts.append((label, condition))
                domain = domain.subtract(part)
        if not domain.is_empty():
            raise IllegalScheduleError(f"{name} has steps before row and column are reached")
        for label, condition in parts[:-1]:
            self._apply(SplitDomain(name, condition, f"{name}_{label}"))
            self.places[f"{name}_{label}"] = place
            self.members[label].append(f"{name}_{label}")
        self.places[name] = place
        self.members[parts[-1][0]].append(name)

    def tree(self) -> Node:
        """Blocks of steps around the four classes, each in its first legal form."""
        nests = self._contractions()
        dependences = dependences_of(self.scop)
        original = original_tree(self.scop)
        parts: list[Node] = []
        for label, _ in CLASSES:
            names = self.members[label]
            if not names:
                continue
            forms: list[Node] = []
            if label == "below":
                forms = [self._by_rows(names, kind) for kind in ("parallel", "for")]
            elif label == "right":
                forms = [self._by_columns(names, kind) for kind in ("parallel", "for")]
            elif label == "behind" and nests:
                tiled = {s for n in nests for s in n.statements}
                others = [self._row_by_row(n, "parallel") for n in names if n not in tiled]
                forms = [
                    chain([*(n.block(kind, first) for n in nests), *others])
                    for kind in ("rows", "columns", "none")
                    for first in (True, False)
                ]
            kept = _only(original, set(names))
            assert kept is not None
            forms.append(kept)
            # Dependences from one block of steps to the next are kept by the loop around.
            chosen = first_legal(self.scop, [self._steps(form) for form in forms], dependences)
            assert isinstance(chosen, Band)
            parts.append(chosen.body)
        tree = self._steps(chain(parts))
        check_schedule_is_legal(tree, dependences, self.scop.ranks)
        return tree

    def _steps(self, body: Node) -> Band:
        """The loop over blocks of steps."""
        exprs = {n: place.blocks(self.size)["d"] for n, place in self.places.items()}
        return self._band("steps", body, exprs)

    def _contractions(self) -> list[ContractionNest]:
        """Register tiles for what is behind, where a statement there has reuse."""
        names = self.members["behind"]
        nests = []
        for name in list(names):
            s = self.scop.statement(name)
            axes = axes_of(self.scop, s)
            if axes is None:
                continue
            tiling = replace(tiling_for(s, axes, self.machine, self.threads), depth=self.size)
            # Tiles that block boundaries cut would all be partial ones.
            rows = max(r for r in range(1, tiling.rows + 1) if self.size % r == 0)
            block = -(-tiling.row_block // self.size) * self.size
            tiling = replace(tiling, rows=rows, row_block=block)
            lanes = self.machine.lanes(element_bytes(s.target))
            nest = ContractionNest(self.scop, name, axes, tiling, lanes)
            nests.append(nest)
            self.rewrites += nest.rewrites
            place = self.places[name]
            for new in nest.statements:
                self.places[new] = place
                if new not in names:
                    self.members["behind"].append(new)
        return nests

    def _band(
        self, axis: str, body: Node, exprs: dict[str, str], kind: Kind = "for", lanes: int = 0
    ) -> Band:
        pairs = tuple((s, exprs[s]) for s in statements_of(body))
        return Band(axis, pairs, body, kind, lanes)

    def _lanes(self, name: str) -> int:
        return self.machine.lanes(element_bytes(self.scop.statement(name).target))

    def _updates_last(self, names: Sequence[str]) -> Node:
        """Statements that scale, then updates with columns as lanes."""
        scaled = [n for n in names if self.scop.statement(n).reduction is None]
        updates = [n for n in names if n not in scaled]
        children: list[Node] = [Leaf(n) for n in scaled]
        for n in updates:
            lanes = self._lanes(n)
            kind: Kind = "vector" if lanes > 1 else "for"
            expr = {n: self.places[n].column}
            children.append(self._band(f"{n}.v", Leaf(n), expr, kind, lanes if lanes > 1 else 0))
        return chain(children)

    def _by_rows(self, names: Sequence[str], kind: Kind) -> Node:
        """Each row for itself: for d: scale element d, update the elements after it."""
        node = self._updates_last(names)
        node = self._band("below.d", node, {n: self.places[n].step for n in names})
        return self._band("below.r", node, {n: self.places[n].row for n in names}, kind)

    def _row_by_row(self, name: str, kind: Kind) -> Node:
        """A statement without reuse: all its steps for one row after the other."""
        node = self._band(f"{name}.d", Leaf(name), {name: self.places[name].step})
        if self.places[name].column != self.places[name].row:
            node = self._band(f"{name}.c", node, {name: self.places[name].column})
        return self._band(f"{name}.r", node, {name: self.places[name].row}, kind)

    def _by_columns(self, names: Sequence[str], kind: Kind) -> Node:
        """Blocks of columns: for d, for the rows after it: update with columns as lanes."""
        node = self._updates_last(names)
        node = self._band("right.r", node, {n: self.places[n].row for n in names})
        node = self._band("right.d", node, {n: self.places[n].step for n in names})
        blocks = {n: self.places[n].blocks(self.size)["c"] for n in names}
        return self._band("right.c", node, blocks, kind)


def _only(tree: Node, names: set[str]) -> Node | None:
    """The part of `tree` over the statements `names`; None where it has none of them."""
    match tree:
        case Leaf(statement):
            return tree if statement in names else None
        case Band():
            body = _only(tree.body, names)
            if body is None:
                return None
            exprs = tuple((s, e) for s, e in tree.exprs if s in names)
            return Band(f"{tree.axis}_{sorted(names)[0]}", exprs, body, tree.kind, tree.lanes)
        case Chain(children):
            kept = [c for c in (_only(child, names) for child in children) if c is not None]
            return chain(kept) if kept else None


def default_block(scop: ScopOp) -> int:
    """Rows of a block: panels are a small part of the work, register tiles divide blocks evenly."""
    rows = max((n for s in scop.statements for n in shape_of(s.target)[:1]), default=0)
    return 96 if rows > 800 else 48


def blocked_candidate(
    scop: ScopOp, machine: Machine, threads: int, size: int | None = None
) -> list[Step]:
    """Steps of a blocked factorization with blocks of `size` rows; IllegalScheduleError where
    `scop` is none."""
    if size is None:
        size = default_block(scop)
    factorization = BlockedFactorization(scop.clone(), machine, threads, size)
    tree = factorization.tree()
    return [*factorization.rewrites, Rearrange(compact_text(tree))]
