"""Register tiles for a reduction over any domain: the loop nest of a BLAS-like kernel.

before: for i: for j <= i: for k: C[i, j] += A[i, k] * B[k, j]
after:  for each block of k, block of rows, tile of columns, tile of rows:
            full tiles:  t = C; for k: t += A * B (t stays in registers); C = t
            the others:  for k: for i: for j <= i: C[i, j] += A[i, k] * B[k, j]

(Goto & van de Geijn 2008, BLIS; here out of schedule steps alone.)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ....dialects.errors import IllegalScheduleError
from ....dialects.poly import ScopOp, StatementOp
from ....dialects.schedule import (
    Accumulate,
    Band,
    Kind,
    Leaf,
    Node,
    Pack,
    Rewrite,
    SplitDomain,
    chain,
    statements_of,
)
from ..access_patterns import panel_width, parallel_dims, reduction_dims, stride
from ..affine_maps import plain_dim
from ..rewrites import apply_rewrite
from ..sets import IslSet, box_extents, condition_text, dims, domain_set, isl
from ..storage import element_bytes

PAGE_BYTES = 4096


@dataclass(frozen=True)
class Tiling:
    """Sizes of a register-tiled reduction, in iterations.

    A tile has `rows` x `vectors` vector accumulators. `depth` iterations of the reduction are done
    at once; `row_block` rows share a panel of columns in the second-level cache; `column_block` is
    what one thread takes where rows cannot run in parallel, 0 for all columns.
    """

    rows: int
    vectors: int
    depth: int
    row_block: int
    column_block: int = 0


@dataclass(frozen=True)
class Axes:
    """The dims of a reduction by what becomes of them.

    `column` are vector lanes, `row` shares what is loaded for the columns, `depth` is the reduction
    dim that is blocked, `others` stay outside, `inner` are further reduction dims. `packed` are the
    operands (source number, array dim) whose columns do not lie side by side.
    """

    row: int
    column: int
    depth: int
    others: tuple[int, ...]
    inner: tuple[int, ...]
    packed: tuple[tuple[int, int], ...] = ()


def axes_of(scop: ScopOp, statement: StatementOp) -> Axes | None:
    """How to tile `statement`; None where it is no reduction with reuse in two dims."""
    if statement.reduction is None or not reduction_dims(statement):
        return None
    if None in [plain_dim(e) for e in statement.write.data.results]:
        return None
    parallel = parallel_dims(statement)
    maps = statement.read_maps[1:]
    for column in parallel:
        if stride(statement.target, statement.write.data, column) != 1:
            continue
        packed = _to_pack(scop, statement, column)
        rows = [
            d
            for d in parallel
            if any(column in m.used_dims() and d not in m.used_dims() for m in maps) and d != column
        ]
        if packed is None or not rows:
            continue
        summed = sorted(reduction_dims(statement), key=extents_of(statement).__getitem__)
        others = tuple(d for d in parallel if d not in (rows[-1], column))
        return Axes(rows[-1], column, summed[-1], others, tuple(summed[:-1]), packed)
    return None


def _to_pack(
    scop: ScopOp, statement: StatementOp, column: int
) -> tuple[tuple[int, int], ...] | None:
    """The operands that need panels for `column` to be lanes; None where one cannot have them."""
    written = {s.target for s in scop.statements}
    found = []
    for k, (array, access) in enumerate(zip(statement.sources, statement.read_maps, strict=True)):
        if k == 0 or stride(array, access, column) in (0, 1) or panel_width(access, column):
            continue
        positions = [p for p, e in enumerate(access.results) if column in e.used_dims()]
        if array in written or [plain_dim(access.results[p]) for p in positions] != [column]:
            return None
        found.append((k, positions[0]))
    return tuple(found)


def _far_rows(statement: StatementOp, axes: Axes) -> Iterator[tuple[int, int]]:
    """(source number, array dim) of operands whose columns lie side by side, but each row on a page
    of its own: in panels they need a fraction of the address translations. A triangle of rows and
    columns reads too little of the panels for that to pay."""
    if box_extents(statement.domain.data) is None:
        return
    for k, (array, access) in enumerate(zip(statement.sources, statement.read_maps, strict=True)):
        if k == 0 or stride(array, access, axes.column) != 1 or panel_width(access, axes.column):
            continue
        (last, *others) = [p for p, e in enumerate(access.results) if axes.column in e.used_dims()]
        row = stride(array, access, axes.depth) or 0
        is_plain = not others and plain_dim(access.results[last]) == axes.column
        if is_plain and abs(row) * element_bytes(array) >= PAGE_BYTES:
            yield k, last


def extents_of(statement: StatementOp) -> list[int]:
    """One more than the greatest value of each dim."""
    domain = domain_set(statement.domain.data, "S")
    return [domain.dim_max_val(d).to_python() + 1 for d in range(statement.rank)]


def full_tiles(statement: StatementOp, axes: Axes, tiling: Tiling, lanes: int) -> IslSet:
    """The instances whose whole tile of rows and columns, cut at the ends of the array, exists."""
    domain = domain_set(statement.domain.data, "S").reset_tuple_id()
    here = dims(statement.rank)
    there = [f"o{d}" if d in (axes.row, axes.column) else name for d, name in enumerate(here)]
    conditions = []
    for d, size in ((axes.row, tiling.rows), (axes.column, tiling.vectors * lanes)):
        low, high = domain.dim_min_val(d).to_python(), domain.dim_max_val(d).to_python()
        conditions.append(f"floor(i{d}/{size}) = floor(o{d}/{size}) and {low} <= o{d} <= {high}")
    mates = isl.Map(
        f"{{ [{', '.join(here)}] -> [{', '.join(there)}] : {' and '.join(conditions)} }}"
    )
    lonely = mates.intersect_domain(domain).subtract_range(domain).domain()
    return domain.subtract(lonely).coalesce()


@dataclass
class ContractionNest:
    """Rewrites and loop nest of one reduction; `scop` is changed on the way."""

    scop: ScopOp
    statement: str
    axes: Axes
    tiling: Tiling
    lanes: int

    def __post_init__(self) -> None:
        """Split off full tiles, and give them an accumulator."""
        self.rewrites: list[Rewrite] = []
        self.rest: str | None = None
        statement = self.scop.statement(self.statement)
        width = self.tiling.vectors * self.lanes
        for operand, position in self.axes.packed:
            self._apply(Pack(self.statement, operand, position, width))
        for operand, position in _far_rows(statement, self.axes):
            try:
                self._apply(Pack(self.statement, operand, position, width))
            except IllegalScheduleError:  # it is read where it lies
                continue
        domain = domain_set(statement.domain.data, "S").reset_tuple_id()
        full = full_tiles(statement, self.axes, self.tiling, self.lanes)
        if full.is_empty():
            raise IllegalScheduleError(f"{self.statement} has no full register tile")
        if not full.is_equal(domain):
            name = f"{self.statement}_full"
            self._apply(SplitDomain(self.statement, condition_text(full.gist(domain)), name))
            self.rest, self.statement = self.statement, name
        self._apply(Accumulate(self.statement, self.axes.depth, self.tiling.depth))
        self._load, self._store = f"{self.statement}_load", f"{self.statement}_store"

    def _apply(self, step: Rewrite) -> None:
        apply_rewrite(self.scop, step)
        self.rewrites.append(step)

    @property
    def statements(self) -> tuple[str, ...]:
        """All statements of the nest."""
        full = (self._load, self.statement, self._store)
        return full if self.rest is None else (*full, self.rest)

    def nest(self, parallel: str, rest_first: bool) -> Node:
        """The loops; `parallel` says what threads share: "others", "rows", "columns", "none"."""
        node = self._blocks(
            "depth", self.axes.depth, self.tiling.depth, self.block(parallel, rest_first), "for"
        )
        for k, dim in reversed(list(enumerate(self.axes.others))):
            kind: Kind = "parallel" if parallel == "others" and k == 0 else "for"
            node = self._band(f"i{dim}", f"i{dim}", node, kind)
        return node

    def block(self, parallel: str, rest_first: bool) -> Node:
        """The loops inside one block of the reduction."""
        rows, columns = self.tiling.rows, self.tiling.vectors * self.lanes
        tile = [self._tile_nest(s) for s in (self._load, self.statement, self._store)]
        if self.rest is not None:
            tile.insert(0 if rest_first else len(tile), self._rest_nest())
        node = chain(tile)
        shared: dict[str, Kind] = {parallel: "parallel"}
        levels = [
            ("rt", self.axes.row, rows),
            ("ct", self.axes.column, columns),
            ("rows", self.axes.row, self.tiling.row_block),
        ]
        if parallel == "columns":
            levels.append(("columns", self.axes.column, self.tiling.column_block))
        for label, dim, size in levels:
            node = self._blocks(label, dim, size, node, shared.get(label, "for"))
        return node

    def _blocks(self, label: str, dim: int, size: int, body: Node, kind: Kind) -> Band:
        """A loop over blocks of `size` iterations of `dim`."""
        return self._band(label, f"floor(i{dim}/{size})", body, kind)

    def _band(self, label: str, expr: str, body: Node, kind: Kind) -> Band:
        # Load and store have the dims of the reduction, so one expression fits all.
        pairs = tuple((s, expr) for s in statements_of(body))
        return Band(f"{self.statement}.{label}", pairs, body, kind)

    def _tile_nest(self, statement: str) -> Node:
        """One register tile, unrolled; around it the reduction where `statement` is the update."""
        row, column = f"i{self.axes.row}", f"i{self.axes.column}"
        width = self.tiling.vectors * self.lanes
        rows = self.tiling.rows

        def one(label: str, expr: str, body: Node, kind: Kind, lanes: int = 0) -> Band:
            return Band(f"{statement}.{label}", ((statement, expr),), body, kind, lanes)

        node: Node = Leaf(statement)
        if self.lanes > 1:
            lane = f"{column} - {self.lanes}*floor({column}/{self.lanes})"
            node = one("l", lane, node, "vector", self.lanes)
        vector = f"floor({column}/{self.lanes}) - {self.tiling.vectors}*floor({column}/{width})"
        node = one("v", vector, node, "unroll")
        node = one("r", f"{row} - {rows}*floor({row}/{rows})", node, "unroll")
        if statement == self.statement:
            for dim in (*self.axes.inner, self.axes.depth):
                node = one(f"k{dim}", f"i{dim}", node, "for")
        return node

    def _rest_nest(self) -> Node:
        """What is not in full tiles, in place: reduction, rows, columns."""
        assert self.rest is not None
        node: Node = Leaf(self.rest)
        order = (self.axes.depth, *self.axes.inner, self.axes.row, self.axes.column)
        for dim in reversed(order):
            kind: Kind = "vector" if dim == self.axes.column and self.lanes > 1 else "for"
            node = Band(
                f"{self.rest}.i{dim}",
                ((self.rest, f"i{dim}"),),
                node,
                kind,
                self.lanes if kind == "vector" else 0,
            )
        return node
