"""Random schedule steps that fit the shape of a loop tree; most are legal, none is promised so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from random import Random

from ....dialects.errors import IllegalScheduleError
from ....dialects.poly import ScopOp
from ....dialects.schedule import (
    Accumulate,
    Band,
    Chain,
    Distribute,
    Fuse,
    Leaf,
    Node,
    Pack,
    Parallelize,
    Reorder,
    Reverse,
    Rewrite,
    Rfactor,
    Shift,
    Skew,
    Split,
    SplitReduction,
    Step,
    Tile,
    Unroll,
    UnrollAndJam,
    Vectorize,
    bands_of,
)

TILES = (4, 8, 16, 32, 64, 128)
SMALL = (2, 3, 4, 6, 8)

Steps = list[Step]


def nests_of(node: Node) -> list[list[Band]]:
    """Every maximal run of perfectly nested sequential loops."""
    runs: list[list[Band]] = []

    def visit(node: Node, run: list[Band]) -> None:
        match node:
            case Band() if node.kind == "for":
                visit(node.body, [*run, node])
                return
            case Band():
                visit(node.body, [])
            case Chain(children):
                for child in children:
                    visit(child, [])
            case Leaf():
                pass
        if run:
            runs.append(run)

    visit(node, [])
    return runs


def neighbours_of(node: Node) -> list[tuple[Band, Band]]:
    """Loops that follow one another in one body."""
    match node:
        case Leaf():
            return []
        case Band():
            return neighbours_of(node.body)
        case Chain(children):
            inner = [pair for c in children for pair in neighbours_of(c)]
            pairs = pairwise(children)
            return inner + [(a, b) for a, b in pairs if isinstance(a, Band) and isinstance(b, Band)]


def fresh_names(tree: Node, steps: Sequence[Step], count: int) -> list[str]:
    """Loop names that neither `tree` nor `steps` mention."""
    taken = " ".join([*(b.axis for b in bands_of(tree)), *map(str, steps)])
    names: list[str] = []
    number = 0
    while len(names) < count:
        if f"x{number}" not in taken:
            names.append(f"x{number}")
        number += 1
    return names


def _loop(tree: Node, rng: Random) -> Band:
    loops = [b for b in bands_of(tree) if b.kind == "for"]
    if not loops:
        raise IllegalScheduleError("no sequential loop is left")
    return rng.choice(loops)


def _run(tree: Node, rng: Random, least: int) -> list[Band]:
    """Some of the loops of a nest, in order."""
    nests = [nest for nest in nests_of(tree) if len(nest) >= least]
    if not nests:
        raise IllegalScheduleError(f"no {least} loops are perfectly nested")
    nest = rng.choice(nests)
    size = rng.randint(least, len(nest))
    start = rng.randint(0, len(nest) - size)
    return nest[start : start + size]


def random_steps(tree: Node, steps: Sequence[Step], lanes: int, rng: Random) -> Steps:
    """One to three steps on `tree`, which the `steps` so far have made.

    IllegalScheduleError where the chosen kind of step has nothing to act on.
    """

    def split() -> Steps:
        outer, inner = fresh_names(tree, steps, 2)
        return [Split(_loop(tree, rng).axis, rng.choice(TILES), outer, inner)]

    def tile() -> Steps:
        axes = tuple(b.axis for b in _run(tree, rng, 2))
        return [Tile(axes, tuple(rng.choice(TILES) for _ in axes))]

    def reorder() -> Steps:
        axes = [b.axis for b in _run(tree, rng, 2)]
        return [Reorder(tuple(rng.sample(axes, len(axes))))]

    def fuse() -> Steps:
        pairs = neighbours_of(tree)
        if not pairs:
            raise IllegalScheduleError("no loops follow one another")
        one, other = rng.choice(pairs)
        return [Fuse((one.axis, other.axis), one.axis)]

    def distribute() -> Steps:
        loops = [b for b in bands_of(tree) if isinstance(b.body, Chain)]
        if not loops:
            raise IllegalScheduleError("no loop holds a chain")
        return [Distribute(rng.choice(loops).axis)]

    def skew() -> Steps:
        outer, inner = rng.sample(_run(tree, rng, 2), 2)
        return [Skew(inner.axis, outer.axis, rng.choice((-1, 1, 2)))]

    def shift() -> Steps:
        band = _loop(tree, rng)
        return [Shift(band.axis, rng.choice(band.exprs)[0], rng.choice((-1, 1, 2)))]

    def reverse() -> Steps:
        return [Reverse(_loop(tree, rng).axis)]

    def parallelize() -> Steps:
        return [Parallelize(_run(tree, rng, 1)[0].axis)]

    def vectorize() -> Steps:
        """Strips of one loop as the innermost loop of its nest."""
        nest = rng.choice(nests_of(tree))
        chosen = rng.choice(nest)
        outer, inner = fresh_names(tree, steps, 2)
        below = [b.axis for b in nest[nest.index(chosen) + 1 :]]
        made: Steps = [Split(chosen.axis, lanes, outer, inner)]
        if below:
            made.append(Reorder((outer, *below, inner)))
        return [*made, Vectorize(inner, lanes)]

    def unroll() -> Steps:
        outer, inner = fresh_names(tree, steps, 2)
        return [Split(_loop(tree, rng).axis, rng.choice(SMALL), outer, inner), Unroll(inner)]

    def unroll_and_jam() -> Steps:
        return [UnrollAndJam(_loop(tree, rng).axis, rng.choice(SMALL))]

    kinds: list[tuple[int, Callable[[], Steps]]] = [
        *((2, kind) for kind in (split, reorder, fuse, distribute, skew, unroll_and_jam)),
        *((3, kind) for kind in (tile, parallelize, vectorize)),
        *((1, kind) for kind in (shift, reverse, unroll)),
    ]
    weights = [weight for weight, _ in kinds]
    return rng.choices([kind for _, kind in kinds], weights)[0]()


def random_rewrite(scop: ScopOp, rng: Random) -> Rewrite:
    """A step on a statement of `scop`: a reduction's accumulator or lanes, a packed operand."""
    statement = rng.choice(scop.statements)
    name, rank = statement.sym_name.data, statement.rank
    if rank == 0:
        raise IllegalScheduleError(f"{name} has no loops")
    if rng.random() < 0.4:
        operand = rng.randrange(max(1, len(statement.sources)))
        results = len(statement.read_maps[operand].results) if statement.sources else 0
        if results == 0:
            raise IllegalScheduleError(f"{name} reads no array to pack")
        return Pack(name, operand, rng.randrange(results), rng.choice((8, 16, 32)))
    kind = rng.choice((Accumulate, Accumulate, Rfactor, SplitReduction))
    return kind(name, rng.randrange(rank), rng.choice((4, 8, 16, 64, 256)))
