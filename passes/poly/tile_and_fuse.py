"""The default schedule, by rules: fuse shared loops, tile for registers, vectorize, parallelize.

It writes schedule steps only; a search may replace any of them. Statements are grouped by *classes*
of dims: dims of different statements that index the same dim of a temporary belong together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil, prod

from ...costmodel.hardware import Machine
from ...dialects.poly import ArrayOp, ScopOp, StatementOp
from ...dialects.schedule import (
    Fuse,
    Node,
    Parallelize,
    Reorder,
    Split,
    Step,
    Unroll,
    Vectorize,
    tree_text,
)
from .access_patterns import Contraction, contraction_of, parallel_dims, vector_dim
from .affine_maps import plain_dim
from .collapse_dims import shape_of
from .primitives import apply_step, original_tree
from .sets import box_extents

UNROLL_LIMIT = 8  # loops of at most this many vectors are unrolled, so that arrays become registers
PARALLEL_WORK = 16384  # below this many weighted operations a kernel stays on one thread
CONTRACTION_WEIGHT = 8  # multiply-adds are this much cheaper than a pointwise element

Dim = tuple[str, int]


@dataclass(frozen=True)
class RegisterTile:
    """Rows x vectors of accumulators that stay in registers."""

    rows: int
    vectors: int


def register_tile(machine: Machine, lanes: int, rows: int, columns: int) -> RegisterTile:
    """The largest balanced tile: accumulators, one row of the wide operand and a broadcast fit."""
    registers = machine.vector_registers
    vectors = min(
        ceil(columns / lanes),
        8 if rows == 1 else 4 if columns % (4 * lanes) == 0 and rows < 7 else 2,
    )
    if lanes == 1:
        vectors = min(columns, 4)
    most = max(1, (registers - vectors - 1) // vectors)
    count = ceil(rows / most)
    return RegisterTile(ceil(rows / count), vectors)


@dataclass
class Plan:
    """Mutable state while the steps of one scop are chosen."""

    scop: ScopOp
    machine: Machine
    threads: int
    lanes: int
    steps: list[Step] = field(default_factory=list)
    serial: int = 0

    def __post_init__(self) -> None:
        self.statements = {s.sym_name.data: s for s in self.scop.statements}
        self.extents: dict[str, tuple[int, ...]] = {}
        for name, s in self.statements.items():
            box = box_extents(s.domain.data)
            assert box is not None
            self.extents[name] = box
        self.tree: Node = original_tree(self.scop)
        self.class_of = _classes(self.statements, self.extents)
        self.left: dict[str, list[tuple[int, str]]] = {
            name: [(self.class_of[name, d], f"{name}.i{d}") for d in range(s.rank)]
            for name, s in self.statements.items()
        }
        self.contractions = {
            name: c for name, s in self.statements.items() if (c := contraction_of(s)) is not None
        }

    def step(self, step: Step) -> None:
        """Record `step` and apply it."""
        self.tree = apply_step(self.tree, step)
        self.steps.append(step)

    def fresh(self, stem: str) -> str:
        """A new loop name."""
        self.serial += 1
        return f"{stem}{self.serial}"

    def dim_of(self, name: str, cls: int) -> int | None:
        """The dim of statement `name` in class `cls`."""
        for d in range(len(self.extents[name])):
            if self.class_of[name, d] == cls:
                return d
        return None

    def is_parallel(self, name: str, cls: int) -> bool:
        """Whether `name` has an unplaced parallel dim of class `cls`."""
        d = self.dim_of(name, cls)
        if d is None or all(c != cls for c, _ in self.left[name]):
            return False
        return d in parallel_dims(self.statements[name])

    def vector_class(self, name: str) -> int | None:
        """The class that `name` wants as vector lanes."""
        d = vector_dim(self.statements[name], self.extents[name])
        return None if d is None else self.class_of[name, d]

    def band(self, name: str, cls: int) -> str:
        """The loop of `name` for class `cls`."""
        return next(b for c, b in self.left[name] if c == cls)

    def extent(self, name: str, cls: int) -> int:
        """Iterations of class `cls` in `name`."""
        d = self.dim_of(name, cls)
        assert d is not None
        return self.extents[name][d]

    def reorder(self, name: str, order: Sequence[int]) -> None:
        """Put the unplaced loops of `name` in the given class order."""
        by_class = dict(self.left[name])
        new = [(c, by_class[c]) for c in order]
        if new != self.left[name]:
            self.step(Reorder(tuple(b for _, b in new)))
            self.left[name] = new

    def split(self, name: str, cls: int, factor: int) -> tuple[str, str]:
        """Split the loop of class `cls`; returns the new loops' names."""
        band = self.band(name, cls)
        outer, inner = f"{band}o", f"{band}i"
        self.step(Split(band, factor, outer, inner))
        return outer, inner


def _classes(
    statements: dict[str, StatementOp], extents: dict[str, tuple[int, ...]]
) -> dict[Dim, int]:
    """Union-find over (statement, dim): equal when they index one dim of a temporary plainly."""
    parent: dict[Dim, Dim] = {
        (name, d): (name, d) for name, s in statements.items() for d in range(s.rank)
    }

    def root(x: Dim) -> Dim:
        while parent[x] != x:
            x = parent[x]
        return x

    at: dict[tuple[object, int], Dim] = {}
    for name, s in statements.items():
        for array, access in zip((s.target, *s.sources), (s.write.data, *s.read_maps), strict=True):
            if not isinstance(array.owner, ArrayOp):
                continue
            for p, expr in enumerate(access.results):
                d = plain_dim(expr)
                if d is None or extents[name][d] != shape_of(array)[p]:
                    continue
                here = root((name, d))
                there = root(at.setdefault((array, p), here))
                if here == there:
                    continue
                members = [x for x in parent if root(x) in (here, there)]
                if len({n for n, _ in members}) == len(members):  # never two dims of a statement
                    parent[here] = there
    ids: dict[Dim, int] = {}
    return {x: ids.setdefault(root(x), len(ids)) for x in parent}


def _shared(plan: Plan, group: Sequence[str], without: Sequence[int] = ()) -> list[int]:
    """Classes that are parallel in every statement, in the order of the last statement's dims."""
    return [
        c
        for c, _ in plan.left[group[-1]]
        if c not in without and all(plan.is_parallel(n, c) for n in group)
    ]


def _group(plan: Plan, group: Sequence[str], inner: tuple[int, ...]) -> str | None:
    """Schedule `group` as one nest; `inner` are row classes already tiled outside.

    Returns the name of its outermost loop.
    """
    shared = _shared(plan, group, inner)
    vector = next((c for c in shared if all(plan.vector_class(n) == c for n in group)), None)
    if vector is not None or len(group) == 1:
        return _tile(plan, group, shared, vector, inner)
    if not shared:
        _partition(plan, group, inner)
        return None
    rows = _row_class(plan, group, shared)
    tiles: dict[str, tuple[str, str]] = {}
    if rows is not None:
        size = _row_tile(plan, group, rows)
        tiles = {n: plan.split(n, rows, size) for n in group}
    for n in group:
        rest = [c for c, _ in plan.left[n] if c not in shared]
        if rows is not None:
            plan.left[n] = [
                pair
                for c, b in plan.left[n]
                for pair in ([(-1, tiles[n][0]), (c, tiles[n][1])] if c == rows else [(c, b)])
            ]
            keep = [c if c != rows else -1 for c in shared]
            plan.reorder(n, [*keep, rows, *rest])
        else:
            plan.reorder(n, [*shared, *rest])
    first = None
    for k in range(len(shared)):
        name = plan.fresh("i")
        plan.step(Fuse(tuple(plan.left[n][0][1] for n in group), name))
        for n in group:
            plan.left[n] = plan.left[n][1:]
        first = name if k == 0 else first
    _partition(plan, group, (rows,) if rows is not None else inner)
    return first


def _row_class(plan: Plan, group: Sequence[str], shared: Sequence[int]) -> int | None:
    """The class whose iterations become the rows of the contractions inside `group`."""
    for n in group:
        contraction = plan.contractions.get(n)
        if contraction is None:
            continue
        for d in reversed(contraction.rows):
            if plan.class_of[n, d] in shared:
                return plan.class_of[n, d]
    return None


def _row_tile(plan: Plan, group: Sequence[str], rows: int) -> int:
    """Rows of a register tile that suits every contraction in `group`."""
    sizes = []
    for n in group:
        c = plan.contractions.get(n)
        if c is not None and plan.class_of[n, c.vector_dim] is not None:
            columns = plan.extents[n][c.vector_dim]
            sizes.append(
                register_tile(plan.machine, plan.lanes, plan.extent(n, rows), columns).rows
            )
    return min(sizes)


def _partition(plan: Plan, group: Sequence[str], inner: tuple[int, ...]) -> None:
    """Cut `group` into runs that share further loops, and schedule each."""
    if not inner:
        runs: list[list[str]] = []
        for n in group:
            if runs and _shared(plan, [*runs[-1], n]):
                runs[-1].append(n)
            else:
                runs.append([n])
        for run in runs:
            _group(plan, run, ())
        return
    for owner, run in _row_runs(plan, group):
        if owner is not None:
            _group(plan, run, inner)
            continue
        for cls in inner:
            for n in run:
                plan.reorder(n, [cls, *(c for c, _ in plan.left[n] if c != cls)])
            plan.step(Fuse(tuple(plan.band(n, cls) for n in run), plan.fresh("r")))
            for n in run:
                plan.left[n] = [(c, b) for c, b in plan.left[n] if c != cls]
        _partition(plan, run, ())


def _row_runs(plan: Plan, group: Sequence[str]) -> list[tuple[str | None, list[str]]]:
    """Runs inside a block of rows: a contraction with its initializer and what consumes it in the
    same lanes, or statements that go row by row (owner None)."""
    targets = {plan.statements[n].target: n for n in group if n in plan.contractions}
    runs: list[tuple[str | None, list[str]]] = []
    for n in group:
        owner = targets.get(plan.statements[n].target)
        if owner is None and runs and runs[-1][0] in runs[-1][1]:
            before = runs[-1][0]
            assert before is not None
            cls = plan.class_of[before, plan.contractions[before].vector_dim]
            if plan.vector_class(n) == cls and plan.is_parallel(n, cls):
                owner = before
        if runs and runs[-1][0] == owner:
            runs[-1][1].append(n)
        else:
            runs.append((owner, [n]))
    return runs


def _tile(
    plan: Plan,
    group: Sequence[str],
    shared: Sequence[int],
    vector: int | None,
    inner: tuple[int, ...],
) -> str | None:
    """One nest whose innermost loops are register tiles: rows unrolled, columns vectors."""
    main = next((n for n in group if n in plan.contractions), None)
    contraction = plan.contractions[main] if main is not None else None
    rows = _tile_rows(plan, main, contraction, shared, inner) if vector is not None else None
    tile = RegisterTile(1, 1)
    if vector is not None:
        columns = plan.extent(group[-1], vector)
        height = plan.extent(group[-1], rows) if rows is not None else 1
        if main is not None:
            tile = register_tile(plan.machine, plan.lanes, height, columns)
        else:
            tile = RegisterTile(1, min(4, max(1, columns // plan.lanes)))
    is_tiled_outside = rows is not None and rows in inner
    outer = [c for c in shared if c not in (vector, rows)]
    if main is None:
        outer = [*inner, *outer]
    packed = contraction is not None and main is not None and _is_panel(plan, main, contraction)
    tail = [c for c in (rows,) if c is not None and not is_tiled_outside]
    order = [*outer, *([vector] if vector is not None else []), *tail]
    if not packed and vector is not None:
        order = [c for c in shared if c in (*outer, *tail) and c != vector]
        order = [*(c for c in outer if c not in order), *order, vector]
    inside: dict[str, list[str]] = {}
    for n in group:
        inside[n] = _split_tile(plan, n, vector, None if is_tiled_outside else rows, tile)
        fused = list(order)
        rest = [c for c, _ in plan.left[n] if c not in fused and c != rows]
        row = [rows] if is_tiled_outside and rows is not None else []
        leftover = dict(plan.left[n])
        bands = [leftover[c] for c in (*fused, *rest)] + [leftover[c] for c in row] + inside[n]
        _reorder_bands(plan, bands)
        plan.left[n] = [(c, leftover[c]) for c in (*fused, *rest, *row)]
        for c in row:
            plan.step(Unroll(leftover[c]))
    first = None
    for k, c in enumerate(order):
        name = plan.fresh("i")
        plan.step(Fuse(tuple(plan.band(n, c) for n in group), name))
        for n in group:
            plan.left[n] = [(x, b) for x, b in plan.left[n] if x != c]
        first = name if k == 0 else first
    for n in group:
        _vectorize_leftover(plan, n, vector)
    return first


def _tile_rows(
    plan: Plan,
    main: str | None,
    contraction: Contraction | None,
    shared: Sequence[int],
    inner: tuple[int, ...],
) -> int | None:
    if main is None or contraction is None:
        return None
    classes = [plan.class_of[main, d] for d in contraction.rows]
    for c in inner:
        if c in classes:
            return c
    return next((c for c in reversed(classes) if c in shared), None)


def _is_panel(plan: Plan, name: str, contraction: Contraction) -> bool:
    """Whether the wide operand is read in packed panels."""
    access = plan.statements[name].read_maps[contraction.wide]
    return plain_dim(access.results[0]) is None and len(access.results) > 1


def _split_tile(
    plan: Plan, name: str, vector: int | None, rows: int | None, tile: RegisterTile
) -> list[str]:
    """Split off the register tile of `name`; returns its inner loops, outermost first."""
    found: list[str] = []
    for cls, size in ((rows, tile.rows), (vector, tile.vectors * plan.lanes)):
        if cls is None or all(c != cls for c, _ in plan.left[name]):
            continue
        outer, within = plan.split(name, cls, size)
        plan.left[name] = [(c, outer if c == cls else b) for c, b in plan.left[name]]
        if cls == rows:
            plan.step(Unroll(within))
            found.append(within)
            continue
        if plan.lanes == 1:
            plan.step(Unroll(within))
            found.append(within)
            continue
        plan.step(Split(within, plan.lanes, f"{within}u", f"{within}l"))
        plan.step(Unroll(f"{within}u"))
        plan.step(Vectorize(f"{within}l", plan.lanes))
        found += [f"{within}u", f"{within}l"]
    return found


def _reorder_bands(plan: Plan, bands: Sequence[str]) -> None:
    if len(bands) > 1:
        plan.step(Reorder(tuple(bands)))


def _vectorize_leftover(plan: Plan, name: str, vector: int | None) -> None:
    """Vectorize what is left inside: the lanes of a factored reduction, or a statement alone."""
    wanted = plan.vector_class(name)
    if plan.lanes == 1 or wanted is None or wanted == vector:
        return
    if all(c != wanted for c, _ in plan.left[name]):
        return
    extent = plan.extent(name, wanted)
    width = _lane_width(plan, name, wanted)
    band = plan.band(name, wanted)
    order = [b for c, b in plan.left[name] if c != wanted]
    if width is not None and width < extent:
        plan.step(Split(band, width, f"{band}o", f"{band}i"))
        order, band, extent = [*order, f"{band}o"], f"{band}i", width
    plan.step(Split(band, plan.lanes, f"{band}u", f"{band}l"))
    _reorder_bands(plan, [*order, f"{band}u", f"{band}l"])
    if ceil(extent / plan.lanes) <= UNROLL_LIMIT:
        plan.step(Unroll(f"{band}u"))
    plan.step(Vectorize(f"{band}l", plan.lanes))


def _lane_width(plan: Plan, name: str, cls: int) -> int | None:
    """The modulus of a factored reduction (`k mod F` in its write access), else None."""
    s = plan.statements[name]
    d = plan.dim_of(name, cls)
    if d is None or d in [plain_dim(e) for e in s.write.data.results]:
        return None
    if s.reduction is None or d not in s.write.data.used_dims():
        return None
    return shape_of(s.target)[-1]


def _work(plan: Plan) -> int:
    total = 0
    for name, extents in plan.extents.items():
        size = prod(extents)
        total += size // CONTRACTION_WEIGHT if name in plan.contractions else size
    return total


def _parallelize(plan: Plan) -> None:
    """Make the outermost loop of each top-level nest parallel where it is legal and worth it."""
    from ...dialects.schedule import Band, Chain

    if plan.threads == 1 or _work(plan) < PARALLEL_WORK:
        return
    nests = plan.tree.children if isinstance(plan.tree, Chain) else (plan.tree,)
    for nest in nests:
        node: Node = nest
        while isinstance(node, Band) and node.kind == "for":
            if _iterations(plan, node) >= plan.threads and _is_parallel_band(plan, node):
                plan.step(Parallelize(node.axis))
                break
            node = node.body


def _iterations(plan: Plan, band: object) -> int:
    from ...dialects.schedule import Band
    from .sets import dim_aff, domain_set

    assert isinstance(band, Band)
    most = 0
    for name, expr in band.exprs:
        s = plan.statements[name]
        aff = dim_aff(name, s.rank, expr).intersect_domain(domain_set(s.domain.data, name))
        most = max(most, aff.max_val().to_python() + 1)
    return most


def _is_parallel_band(plan: Plan, band: object) -> bool:
    """Whether no statement below reduces over the dims of this loop."""
    from ...dialects.schedule import Band

    assert isinstance(band, Band)
    for name, expr in band.exprs:
        s = plan.statements[name]
        parallel = set(parallel_dims(s))
        used = {d for d in range(s.rank) if f"i{d}" in _tokens(expr)}
        if not used <= parallel or (s.reduction is not None and _folds(s, used)):
            return False
    return True


def _folds(statement: StatementOp, dims: set[int]) -> bool:
    """Whether different values of `dims` may write one element (`k mod F`)."""
    plain = {plain_dim(e) for e in statement.write.data.results}
    return not dims <= plain


def _tokens(expr: str) -> set[str]:
    import re

    return set(re.findall(r"i\d+", expr))


def tile_and_fuse(scop: ScopOp, machine: Machine, threads: int, lanes: int) -> list[Step]:
    """The steps of the default schedule of `scop`, whose domains are boxes."""
    plan = Plan(scop, machine, threads, lanes)
    _group(plan, list(plan.statements), ())
    _parallelize(plan)
    return plan.steps


def describe(scop: ScopOp, steps: Sequence[Step]) -> str:
    """The loop tree after `steps`, for people."""
    tree = original_tree(scop)
    for step in steps:
        tree = apply_step(tree, step)
    return tree_text(tree)
