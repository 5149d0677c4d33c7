"""Steps that change the loop tree: the order of statement instances, and how loops are run.

Steps are frozen, printable, hashable and replayable (tinygrad `Opt`, TVM trace). Each is checked
against the dependences of the scop (`passes/poly/legality.py`) after it is applied.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Step:
    """Base of all schedule steps."""

    @classmethod
    def step_name(cls) -> str:
        """The name that the step has in text: `unroll_and_jam` for UnrollAndJam."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    def __str__(self) -> str:
        values = [getattr(self, f.name) for f in fields(self)]
        texts = ["+".join(map(str, v)) if isinstance(v, tuple) else str(v) for v in values]
        return f"{self.step_name()}({', '.join(texts)})"


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
    legal:  no dependence on an instance that now runs in a later iteration of x
    """

    axes: tuple[str, ...]
    name: str


@dataclass(frozen=True)
class Distribute(Step):
    """The inverse of fuse: one loop per child of the chain in the body of `axis`.

    before: for x: S(x); T(x)
    after:  for x_0: S(x_0);  for x_1: T(x_1)
    legal:  no S depends on T of an earlier iteration
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
    """Repeat the body of a loop once per iteration.

    before: for i in 0..2: S(i)
    after:  S(0); S(1)
    legal:  always; the trip count is constant or, where it depends on outer loops, small: then
            copies are guarded
    """

    axis: str


@dataclass(frozen=True)
class Vectorize(Step):
    """Execute the iterations of `axis` as lanes of vector instructions, masked where partial.

    before: for i in lo..hi: y[i] = x[i] + 1
    after:  for i in lo..hi by 16: y[i:i+16] = x[i:i+16] + 1; then one masked vector for the rest
    legal:  as parallelize, reductions into one element excepted: they use a fixed tree
    """

    axis: str
    lanes: int


@dataclass(frozen=True)
class Tile(Step):
    """Split each of the nested loops `axes` by its factor, the outer parts around the inner ones.

    before: for i: for j: S(i, j)
    after:  for i_o: for j_o: for i_i in 0..f: for j_i in 0..g: S(f*i_o + i_i, g*j_o + j_i)
    legal:  no dependence becomes lexicographically negative. That holds for permutable loops: no
            dependence is negative in any of them that an outer loop does not carry (Irigoin &
            Triolet 1988)

    The outer loops stand in the order of `axes`, where the outermost of them was.
    """

    axes: tuple[str, ...]
    factors: tuple[int, ...]


@dataclass(frozen=True)
class Skew(Step):
    """Add a multiple of an outer loop to an inner one (Wolfe 1986).

    before: for t: for i in 0..n: S(t, i)
    after:  for t: for i in f*t .. n + f*t: S(t, i - f*t)
    legal:  always (order of instances is unchanged); it makes tile and reorder legal

    `by` may be inside `axis` instead, around all of its statements: for i + f*j: for j. These
    wavefronts are legal where no dependence becomes lexicographically negative.
    """

    axis: str
    by: str
    factor: int


@dataclass(frozen=True)
class Shift(Step):
    """Delay one statement of a loop by `amount` iterations (loop shifting, retiming); a fuse
    before it makes that loop fusion with shifting.

    before: for i: S(i); T(i)
    after:  for i: S(i); T(i - amount)
    legal:  no dependence from an instance to one that now runs earlier
    """

    axis: str
    statement: str
    amount: int


@dataclass(frozen=True)
class Reverse(Step):
    """Run a loop backward.

    before: for i in 0..n: S(i)
    after:  for i in -n+1..1: S(-i)
    legal:  the loop carries no dependence
    """

    axis: str


@dataclass(frozen=True)
class UnrollAndJam(Step):
    """Unroll `axis` by `factor` and merge the copies of the loops inside (Callahan et al. 1988).

    before: for i: for j: S(i, j)
    after:  for i_o: for j: unroll i_u in 0..f: S(f*i_o + i_u, j)
    legal:  as moving the inner part of a split of `axis` inside all loops below

    The unrolled loop stands around each largest part of the body without loops, so outside of
    vector and unrolled loops. Where there are several, they are called i_u0, i_u1, ...
    """

    axis: str
    factor: int


@dataclass(frozen=True)
class Bind(Step):
    """Iterations of `axis` are GPU blocks or threads: `unit` is block.x, block.y, thread.x or
    thread.y. Loops in each other that are bound to one unit share it, the innermost runs fastest.
    Loops for a CPU cannot be made of them.

    before: for i: S(i)
    after:  each block (thread) i: S(i)
    legal:  as parallelize
    """

    axis: str
    unit: str


@dataclass(frozen=True)
class Rearrange(Step):
    """Replace the whole loop tree: a multidimensional affine schedule (Feautrier 1992, Pluto).

    before: any tree
    after:  `tree`, in the text form of `compact_text`: each statement in one leaf, each loop with a
            name of its own and an integer value for every instance below it
    legal:  every instance has its own place, no dependence is reversed
    """

    tree: str
