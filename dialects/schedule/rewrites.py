"""Steps that change the statements of a scop: which instances, which arrays, in original order.

They stand first in a schedule; the loop tree of the rewritten scop is what the other steps act on.
Each keeps the meaning of the program whatever schedule follows, and refuses what would not.
"""

from __future__ import annotations

from dataclasses import dataclass

from .steps import Step


@dataclass(frozen=True)
class Rewrite(Step):
    """Base of all steps that change statements."""


@dataclass(frozen=True)
class SplitDomain(Rewrite):
    """Index-set splitting (Griebl et al. 2000): instances where `condition` holds become a
    statement of their own, `inside`, so that full tiles can be scheduled apart from partial ones.

    before: for i: S(i)
    after:  for i: if c(i): inside(i) else: S(i)
    legal:  always. `condition` is an isl constraint over the dims i0, i1, ... of the statement
    """

    statement: str
    condition: str
    inside: str


@dataclass(frozen=True)
class Accumulate(Rewrite):
    """Collect a reduction in a temporary that stays in registers (TVM cache_write, scalar
    replacement): loaded before, stored after each block of `factor` iterations of dim `dim`.

    before: S: A[w] += f(k)
    after:  S_load: t[kb, w] = A[w];  S: t[k / factor, w] += f(k);  S_store: A[w] = t[kb, w]
    legal:  in original order nothing else accesses A[w] between the load and the store of a block.
            All three have the dims of S; the load is at k == kb * factor, the store at the end of
            the block. Where one block holds all iterations, t has no index kb.
    """

    statement: str
    dim: int
    factor: int


@dataclass(frozen=True)
class Pack(Rewrite):
    """Copy a read operand into panels whose innermost dim is `width` elements of array dim
    `position` (array packing, Goto & van de Geijn 2008; TVM cache_read with a layout).

    before: S: .. B[k, j] ..
    after:  S_packN: p[j / width, k, j mod width] = B[k, j];  S: .. p[j / width, k, j mod width] ..
    legal:  nothing in the outermost loop around S writes what S reads of B. N is the operand, and
            the copy is a loop nest of its own in front of that loop, in front of everything where
            nothing writes B
    """

    statement: str
    operand: int
    position: int
    width: int


@dataclass(frozen=True)
class Rfactor(Rewrite):
    """Reduce into `factor` lanes first, then reduce the lanes (Suriana et al. 2017, TVM rfactor).

    before: S: a[w] += f(k)
    after:  S_zero: t[w, l] = 0;  S: t[w, k mod factor] += f(k);  S_lanes: a[w] += t[w, l]
    legal:  as accumulate with one block; S_zero and S_lanes have one more dim, the lane
    """

    statement: str
    dim: int
    factor: int


@dataclass(frozen=True)
class SplitReduction(Rewrite):
    """Reduce blocks of `factor` iterations of `dim` by themselves, then reduce the blocks (split-K;
    rfactor of an outer loop).

    before: S: a[w] += f(k)
    after:  S_zero: t[b, w] = 0;  S: t[k / factor, w] += f(k);  S_sum: a[w] += t[b, w]
    legal:  S does not read a but for its accumulator; no statements share loops. All three are loop
            nests of their own, over boxes
    """

    statement: str
    dim: int
    factor: int


@dataclass(frozen=True)
class Expand(Rewrite):
    """Give the values of a temporary memory of their own: array expansion and privatization
    (Feautrier 1988), which removes anti and output dependences. Accesses that share no values get
    an array each, with one element per iteration of the (at most `depth`) loops around them that
    keep every value inside.

    before: for i: t = f(i); y[i] = g(t);  for i: t = h(i); z[i] = t
    after:  for i: t[i] = f(i); y[i] = g(t[i]);  for i: t_1[i] = h(i); z[i] = t_1[i]
    legal:  always, on a temporary; a loop is left out where a value is read in another iteration
            than the one that wrote it
    """

    array: str
    depth: int


@dataclass(frozen=True)
class Recompute(Rewrite):
    """Overlapped tiling: `producer` is computed again in every tile of `consumer` that reads it
    (Krishnamoorthy et al. 2007; Halide compute_at). Tiles are blocks of `factors` iterations of the
    consumer's first dims inside the loops that both share.

    before: P: t[i] = f(i);  C: y[i] = g(t[i - 1], t[i + 1])
    after:  P: t[b, i] = f(i) for all i that block b of C reads;  C: y[i] = g(t[b, i - 1], ..)
    legal:  P is the only writer and C the only reader of the array, a temporary; C reads what P
            wrote in the same iteration of the loops that they share
    """

    producer: str
    consumer: str
    factors: tuple[int, ...]


@dataclass(frozen=True)
class Pad(Rewrite):
    """Round the extent of a temporary's dim up to a multiple, so that its tiles are all full.

    before: t : 13 x 30
    after:  t : 13 x 32, its writer also fills the new elements
    legal:  the added instances write elements that were not there before, and read inside of arrays
    """

    array: str
    position: int
    multiple: int


@dataclass(frozen=True)
class Precompute(Rewrite):
    """Compute what the body of a statement needs of `dims` only once, ahead of everything.

    before: for i, j, k: C[i, j] += (alpha * A[i, k]) * B[k, j]
    after:  for i, k: t[i, k] = alpha * A[i, k];  for i, j, k: C[i, j] += t[i, k] * B[k, j]
    legal:  the arrays it reads are written nowhere in the scop
    """

    statement: str
    dims: tuple[int, ...]


@dataclass(frozen=True)
class Merge(Rewrite):
    """The inverse of split_domain: `other` does what `statement` does elsewhere, and joins it.

    before: for i: { for j < i: S(i, j);  for j >= i: T(i, j) }
    after:  for i: for j: S(i, j)
    legal:  equal accesses and bodies, disjoint domains, no dependence is reversed
    """

    statement: str
    other: str
