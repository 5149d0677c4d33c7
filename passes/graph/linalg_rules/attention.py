"""Rule of graph.attention: scores, masked softmax without its division, values, one scaling.

A row with nothing to attend to (all keys masked) gives zeros, as torch does; NaN where the op says
so.
"""

from __future__ import annotations

from xdsl.dialects.builtin import bf16
from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineMap

from ....dialects.graph import AttentionOp, element_of, shape_of
from .contraction import contract
from .kernel_builder import KernelBuilder, Read
from .reduction import Rows
from .rule import converts
from .scalar_builder import ScalarBuilder, is_truth
from .window import multiply_add

MINUS_INFINITY = float("-inf")


@converts(AttentionOp)
def convert_attention(op: AttentionOp, b: KernelBuilder) -> SSAValue:
    """o = (exp(s - max s) v) / sum, with s = scale * q k^T + mask."""
    scores = _masked_scores(op, b)
    shape, element = shape_of(scores), element_of(scores)
    rows = Rows(shape, [len(shape) - 1])
    reference = rows.per_row(b, rows.shift(b, scores), _finite_or_zero)
    exponentials = b.map(
        [(scores, rows.identity), (reference, rows.row_map)],
        shape,
        element,
        lambda s, x, largest: s.exp(s.sub(x, largest)),
    )
    inverse_of = _inverse_or_zero if op.nan_if_hidden is None else _inverse
    inverse = rows.per_row(b, rows.reduce(b, "sum", exponentials), inverse_of)
    weight = rounded_product if element_of(op.value) == bf16 else multiply_add
    weighted = contract(b, exponentials, op.value, transposed=False, body=weight)
    # Dividing after the second contraction touches fewer elements than dividing the scores.
    out_rows = Rows(shape_of(weighted), [len(shape) - 1])
    return b.map(
        [(weighted, out_rows.identity), (inverse, out_rows.row_map)],
        shape_of(weighted),
        element,
        lambda s, x, scale: s.mul(x, scale),
    )


def rounded_product(s: ScalarBuilder, a: SSAValue, b: SSAValue, acc: SSAValue) -> SSAValue:
    """acc + a * b, a rounded to bf16 as b is."""
    return multiply_add(s, s.widen(s.narrow(a, bf16)), b, acc)


def _masked_scores(op: AttentionOp, b: KernelBuilder) -> SSAValue:
    products = contract(b, op.query, op.key, transposed=True)
    shape = shape_of(products)
    identity = AffineMap.identity(len(shape))
    reads: list[Read] = [(products, identity)]
    if op.mask is not None:
        reads.append((op.mask, identity))

    def body(s: ScalarBuilder, product: SSAValue, *mask: SSAValue) -> SSAValue:
        score = s.mul(product, s.like(op.scale.value.data, product))
        masked = s.like(MINUS_INFINITY, product)
        for m in mask:
            score = s.select(m, score, masked) if is_truth(m.type) else s.add(score, m)
        if not op.causal.value.data:
            return score
        query, key = s.iteration(len(shape) - 2), s.iteration(len(shape) - 1)
        return s.select(s.compare("le", key, query), score, masked)

    return b.map(reads, shape, element_of(products), body)


def _finite_or_zero(s: ScalarBuilder, largest: SSAValue) -> SSAValue:
    """-inf - (-inf) would be NaN; against 0 the masked scores become exp(-inf) = 0."""
    is_masked = s.compare("eq", largest, s.like(MINUS_INFINITY, largest))
    return s.select(is_masked, s.like(0, largest), largest)


def _inverse_or_zero(s: ScalarBuilder, total: SSAValue) -> SSAValue:
    zero = s.like(0, total)
    return s.select(s.compare("eq", total, zero), zero, _inverse(s, total))


def _inverse(s: ScalarBuilder, total: SSAValue) -> SSAValue:
    """Infinity for 0; the sum that it scales is then 0 too, and 0 * infinity NaN."""
    return s.div(s.like(1, total), total)
