"""Random schedules to test the scheduler with: any steps that apply, legal or not.

Loops are small, so are factors; code stays small because few loops are unrolled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

from tilecast.dialects.errors import IllegalScheduleError
from tilecast.dialects.poly import ScopOp
from tilecast.dialects.schedule import (
    Band,
    Bind,
    Chain,
    Distribute,
    Fuse,
    Leaf,
    Node,
    Parallelize,
    Rearrange,
    Reorder,
    Reverse,
    Shift,
    Skew,
    Split,
    Step,
    Tile,
    Unroll,
    UnrollAndJam,
    Vectorize,
    bands_of,
    chain,
    compact_text,
)
from tilecast.passes.poly.primitives import apply_step, original_tree

FACTORS = (2, 3, 4, 5, 8, 16)
LANES = (2, 4, 8)
MOST_BANDS = 9  # around a statement: isl takes long over deep nests
UNITS = ("block.x", "block.y", "thread.x", "thread.y")


def nodes_of(node: Node) -> list[Node]:
    """All nodes of a tree."""
    match node:
        case Leaf():
            return [node]
        case Band():
            return [node, *nodes_of(node.body)]
        case Chain(children):
            return [node, *(n for child in children for n in nodes_of(child))]


def depth_of(node: Node) -> int:
    """The most bands around a statement."""
    match node:
        case Leaf():
            return 0
        case Band():
            return 1 + depth_of(node.body)
        case Chain(children):
            return max(depth_of(child) for child in children)


class RandomSteps:
    """Draws steps for the loop tree of one scop; new loops are numbered."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.serial = 0
        self.unrolled = 0
        self.kinds: list[tuple[int, Callable[[Node], Step | None]]] = [
            (3, self.split), (3, self.tile), (4, self.reorder), (5, self.fuse),
            (3, self.distribute), (4, self.skew), (4, self.shift), (2, self.reverse),
            (3, self.parallelize), (3, self.vectorize), (1, self.unroll),
            (2, self.unroll_and_jam), (1, self.bind), (2, self.combine), (1, self.permute),
        ]  # fmt: skip

    def name(self) -> str:
        """A new loop name."""
        self.serial += 1
        return f"x{self.serial}"

    def step(self, tree: Node) -> Step | None:
        """A step of a random kind; None where the tree has nothing for it."""
        (kind,) = self.rng.choices([k for _, k in self.kinds], [w for w, _ in self.kinds])
        return kind(tree)

    def band(self, tree: Node, *kinds: str) -> Band | None:
        """A loop, of one of `kinds`."""
        bands = [b for b in bands_of(tree) if not kinds or b.kind in kinds]
        return self.rng.choice(bands) if bands else None

    def nest(self, tree: Node) -> list[Band]:
        """Up to four plain loops in perfect nesting, from a random one inward."""
        node: Node | None = self.band(tree, "for")
        nest: list[Band] = []
        while isinstance(node, Band) and node.kind == "for" and len(nest) < 4:
            nest.append(node)
            node = node.body
        return nest

    def split(self, tree: Node) -> Step | None:
        """Strip-mine any loop."""
        band = self.band(tree, "for")
        if band is None:
            return None
        return Split(band.axis, self.rng.choice(FACTORS), self.name(), self.name())

    def tile(self, tree: Node) -> Step | None:
        """Tile two or more loops of a nest."""
        nest = self.nest(tree)
        if len(nest) < 2:
            return None
        chosen = sorted(self.rng.sample(range(len(nest)), self.rng.randint(2, len(nest))))
        axes = tuple(nest[k].axis for k in chosen)
        return Tile(axes, tuple(self.rng.choice(FACTORS) for _ in axes))

    def reorder(self, tree: Node) -> Step | None:
        """Any order of some loops of a nest."""
        nest = self.nest(tree)
        if len(nest) < 2:
            return None
        axes = [b.axis for b in nest]
        return Reorder(tuple(self.rng.sample(axes, self.rng.randint(2, len(axes)))))

    def fuse(self, tree: Node) -> Step | None:
        """Two or three neighbouring loops."""
        runs: list[Sequence[Node]] = []
        for node in nodes_of(tree):
            if isinstance(node, Chain):
                for size in (2, 3):
                    runs += [node.children[k : k + size] for k in range(len(node.children))]
        axes = [tuple(c.axis for c in r if isinstance(c, Band)) for r in runs if len(r) > 1]
        fitting = [a for a, r in zip(axes, (r for r in runs if len(r) > 1), strict=True)
                   if len(a) == len(r)]  # fmt: skip
        return Fuse(self.rng.choice(fitting), self.name()) if fitting else None

    def distribute(self, tree: Node) -> Step | None:
        """A loop around a chain."""
        bands = [b for b in bands_of(tree) if isinstance(b.body, Chain)]
        return Distribute(self.rng.choice(bands).axis) if bands else None

    def skew(self, tree: Node) -> Step | None:
        """A loop by one around it, now and then by one inside."""
        outer = self.band(tree, "for")
        if outer is None:
            return None
        inner = self.band(outer.body, "for")
        if inner is None:
            return None
        by = self.rng.choice((-2, -1, 1, 1, 1, 2, 3))
        if self.rng.random() < 0.25:
            return Skew(outer.axis, inner.axis, by)
        return Skew(inner.axis, outer.axis, by)

    def shift(self, tree: Node) -> Step | None:
        """One statement of a loop, forth or back."""
        band = self.band(tree, "for")
        if band is None:
            return None
        statement, _ = self.rng.choice(band.exprs)
        return Shift(band.axis, statement, self.rng.choice((-3, -1, 1, 1, 2, 7)))

    def reverse(self, tree: Node) -> Step | None:
        """Any loop."""
        band = self.band(tree, "for")
        return Reverse(band.axis) if band else None

    def parallelize(self, tree: Node) -> Step | None:
        """Any loop."""
        band = self.band(tree, "for")
        return Parallelize(band.axis) if band else None

    def bind(self, tree: Node) -> Step | None:
        """Any loop, to any unit."""
        band = self.band(tree, "for")
        return Bind(band.axis, self.rng.choice(UNITS)) if band else None

    def vectorize(self, tree: Node) -> Step | None:
        """Any loop; innermost ones more often."""
        bands = [b for b in bands_of(tree) if b.kind == "for"]
        inner = [b for b in bands if not any(True for _ in bands_of(b.body))]
        pool = inner if inner and self.rng.random() < 0.7 else bands
        return Vectorize(self.rng.choice(pool).axis, self.rng.choice(LANES)) if pool else None

    def unroll(self, tree: Node) -> Step | None:
        """A short loop, which a split, a tile or a wavefront made."""
        bands = [b for b in bands_of(tree) if b.kind == "for" and b.axis.endswith("_i")]
        if not bands or self.unrolled > 1:
            return None
        self.unrolled += 1
        return Unroll(self.rng.choice(bands).axis)

    def unroll_and_jam(self, tree: Node) -> Step | None:
        """Any loop, by a small factor."""
        band = self.band(tree, "for")
        if band is None or self.unrolled > 1:
            return None
        self.unrolled += 1
        return UnrollAndJam(band.axis, self.rng.choice((2, 3, 4)))

    def combine(self, tree: Node) -> Step | None:
        """Rearrange: other linear combinations of the loops of a nest, perhaps dependent ones."""
        nest = self.nest(tree)
        if len(nest) < 2:
            return None
        values = [dict(b.exprs) for b in nest]

        def combined(band: Band, row: list[int]) -> Band:
            exprs = []
            for statement, _ in band.exprs:
                terms = [f"{c}*({v[statement]})" for c, v in zip(row, values, strict=True) if c]
                exprs.append((statement, " + ".join(terms) or "0"))
            return replace(band, exprs=tuple(exprs))

        rows = [[self.rng.choice((-1, 0, 0, 1, 1, 2)) for _ in nest] for _ in nest]
        if self.rng.random() < 0.7:  # lower triangular with ones: never dependent
            rows = [
                [1 if j == i else row[j] if j < i else 0 for j in range(len(nest))]
                for i, row in enumerate(rows)
            ]
        new: Node = nest[-1].body
        for band, row in reversed(list(zip(nest, rows, strict=True))):
            new = replace(combined(band, row), body=new)
        return Rearrange(compact_text(replace_node(tree, nest[0], new)))

    def permute(self, tree: Node) -> Step | None:
        """Rearrange: another order of a chain."""
        chains = [n for n in nodes_of(tree) if isinstance(n, Chain)]
        if not chains:
            return None
        old = self.rng.choice(chains)
        children = self.rng.sample(old.children, len(old.children))
        return Rearrange(compact_text(replace_node(tree, old, Chain(tuple(children)))))


def replace_node(tree: Node, old: Node, new: Node) -> Node:
    """`tree` with `new` for the node `old`."""
    if tree is old:
        return new
    match tree:
        case Leaf():
            return tree
        case Band():
            return replace(tree, body=replace_node(tree.body, old, new))
        case Chain(children):
            return chain([replace_node(c, old, new) for c in children])


def random_tree_steps(
    scop: ScopOp, rng: Random, is_legal: Callable[[Node], bool], keep_illegal: float
) -> tuple[list[Step], Node]:
    """(steps on the tree of `scop`, the tree they make).

    Steps that `is_legal` refuses are kept with probability `keep_illegal`.
    """
    draw, tree = RandomSteps(rng), original_tree(scop)
    steps: list[Step] = []
    for _ in range(rng.randint(2, 10)):
        step = draw.step(tree)
        if step is None:
            continue
        try:
            new = apply_step(tree, step)
        except IllegalScheduleError:
            continue
        if depth_of(new) > MOST_BANDS:
            continue
        if rng.random() < keep_illegal or is_legal(new):
            tree, steps = new, [*steps, step]
    return steps, tree
