"""Scaled dot-product attention, kept whole as `graph.attention`."""

from __future__ import annotations

import math

from xdsl.dialects.builtin import i1
from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineExpr

from ...dialects.graph import AttentionOp, broadcast_shapes, element_of, shape_of, tensor_of
from .builder import Builder
from .rules import UnsupportedUse, rule


@rule("aten.scaled_dot_product_attention.default")
def attention(
    b: Builder,
    query: SSAValue,
    key: SSAValue,
    value: SSAValue,
    mask: SSAValue | None,
    dropout: float,
    causal: bool,
    scale: float | None,
    grouped: bool,
) -> SSAValue:
    """Batch dims broadcast by views; grouped queries share keys and values by views."""
    if dropout > 0:
        raise UnsupportedUse("attention dropout is random; call model.eval() first")
    if grouped:
        heads = shape_of(query)[-3]
        key, value = _share_heads(b, key, heads), _share_heads(b, value, heads)
    q, k, v = shape_of(query), shape_of(key), shape_of(value)
    batch = broadcast_shapes([q[:-2], k[:-2], v[:-2]])
    if mask is not None:
        if element_of(mask) != i1:
            mask = b.cast(mask, element_of(query))
        mask = b.expand(mask, (*batch, q[-2], k[-2]))
    return b.emit(
        AttentionOp(
            b.expand(query, (*batch, *q[-2:])),
            b.expand(key, (*batch, *k[-2:])),
            b.expand(value, (*batch, *v[-2:])),
            mask,
            1 / math.sqrt(q[-1]) if scale is None else scale,
            causal,
            tensor_of(element_of(query), (*batch, q[-2], v[-1])),
        )
    )


def _share_heads(b: Builder, source: SSAValue, heads: int) -> SSAValue:
    """Every key/value head repeated for the query heads of its group."""
    shape = list(shape_of(source))
    group = heads // shape[-3]
    if group == 1:
        return source
    exprs = [AffineExpr.dimension(d) for d in range(len(shape))]
    exprs[-3] = exprs[-3] // group
    shape[-3] = heads
    return b.view(source, exprs, shape)
