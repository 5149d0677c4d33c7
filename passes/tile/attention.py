"""Attention among the pieces of a kernel: scores, softmax of their rows, sums that it weights.

In: a contraction (scores), a chain on rows (softmax), a contraction (weighted sums).
Out: an `Attention`, which one program computes without storing scores (FlashAttention, Dao et al.
2022); None where they are something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.ir import SSAValue

from ...dialects.poly import ScopOp
from ...dialects.tile.atoms import BF16, F16
from ..poly.softmax.softmax_sums import SoftmaxSums, softmax_sums
from .contraction import Contraction
from .rows import Rows, RowStep

WIDEST = 128  # of heads, whose queries and sums are in a block's registers


@dataclass(frozen=True)
class Attention:
    """`scores` and `sums` are the contractions; `reference` is what is subtracted from scores.

    `total` is the array of the exponentials' sums, `after` are steps on rows that follow it.
    """

    scores: Contraction
    sums: Contraction
    reference: RowStep
    total: SSAValue
    after: tuple[RowStep, ...]

    @property
    def arrays(self) -> list[SSAValue]:
        """What the program reads and writes."""
        inside = {self.sums.lhs.array, self.scores.result.array, self.total}
        inside |= {step.target.array for step in self.after}
        both = (*self.scores.arrays, *self.sums.arrays)
        return [a for a in dict.fromkeys(both) if a not in inside]


def find_attention(
    scop: ScopOp, scores: Contraction, rows: Rows, sums: Contraction
) -> Attention | None:
    """The attention that three neighbouring pieces are."""
    found = next((x for s in scop.statements if (x := softmax_sums(scop, s)) is not None), None)
    if found is None or found.scores is not scores.result.array or len(found.sums) != 2:
        return None
    readers = [s for s in scop.statements if found.scores in s.sources]
    if {found.maximum.update, found.exponential} != set(readers) - set(scores.statements):
        return None
    steps = _steps(rows, found)
    weighted = [s for s in found.sums if s.sum.update in sums.statements]
    plain = [s for s in found.sums if s.sum.update not in sums.statements]
    if steps is None or len(weighted) != 1 or len(plain[0].sum.update.sources) != 2:
        return None
    reference, exponential, after = steps
    total = plain[0].total
    if not _same_loops(scores, sums, exponential) or not _fits(scores, sums):
        return None
    known = {total, *(step.target.array for step in after)}
    if any(s.array not in known for step in after for s in step.sources):
        return None
    return Attention(scores, sums, reference, total, after)


def _steps(rows: Rows, found: SoftmaxSums) -> tuple[RowStep, RowStep, tuple[RowStep, ...]] | None:
    """(reference, exponential, steps on rows after the sum); None where there are others."""
    by_target = {step.target.array: step for step in rows.steps}
    expected = [
        found.maximum.update.target,
        found.reference.target,
        found.exponential.target,
        *(s.total for s in found.sums if s.total in by_target),
    ]
    rest = [step for step in rows.steps if step.target.array not in expected]
    wide = [step for step in rest if step.target.varies(rows.columns) or step.reduction]
    if wide or len(expected) != 4 or any(array not in by_target for array in expected):
        return None
    return by_target[expected[1]], by_target[expected[2]], tuple(rest)


def _same_loops(scores: Contraction, sums: Contraction, exponential: RowStep) -> bool:
    """Whether both contractions run over the same queries and keys in the same order."""
    read = next(s for s in exponential.sources if s.array is scores.result.array)
    if sums.lhs.array is not exponential.target.array or (
        (read.start, read.strides) != (exponential.target.start, exponential.target.strides)
    ):
        return False

    def places(of: Contraction, dims: Sequence[int], strides: tuple[int, ...]) -> list[object]:
        return [(of.extents[d], strides[d]) for d in dims]

    pairs = ((scores.batch, sums.batch), (scores.rows, sums.rows), (scores.columns, sums.depth))
    return all(
        places(scores, a, scores.result.strides) == places(sums, b, sums.lhs.strides)
        for a, b in pairs
    )


def _fits(scores: Contraction, sums: Contraction) -> bool:
    """Whether tensor cores multiply, and a block holds a head."""
    types = {scores.lhs.element, scores.rhs.element, sums.rhs.element}
    narrow = len(types) == 1 and types <= {F16, BF16}
    width, wide = scores.shape[3], sums.shape[2]
    along = all(
        any(access.strides[d] == 1 for d in dims)
        for access, dims in (
            (scores.lhs, scores.depth),
            (scores.rhs, scores.depth),
            (sums.rhs, sums.columns),
        )
    )
    return narrow and along and max(width, wide) <= WIDEST
