"""Rules of graph.linear and graph.matmul: one multiply-add generic, the bias after it."""

from __future__ import annotations

from xdsl.ir import SSAValue

from ....dialects.graph import LinearOp, MatmulOp, shape_of
from .kernel_builder import Body, KernelBuilder, dims_map
from .rule import converts
from .window import add_bias, multiply_add


@converts(LinearOp)
def convert_linear(op: LinearOp, b: KernelBuilder) -> SSAValue:
    """out[m..., n] = sum over k of source[m..., k] * weight[n, k]."""
    shape = shape_of(op.result)
    n, k = len(shape) - 1, len(shape)
    rank = len(shape) + 1
    product = b.reduce(
        [
            (op.source, dims_map(rank, [*range(n), k])),
            (op.weight, dims_map(rank, [n, k])),
        ],
        shape,
        dims_map(rank, range(len(shape))),
        "p" * len(shape) + "r",
        0,
        multiply_add,
    )
    return add_bias(b, product, op.bias, n)


@converts(MatmulOp)
def convert_matmul(op: MatmulOp, b: KernelBuilder) -> SSAValue:
    """out[b..., m, n] = sum over k of lhs[b..., m, k] * rhs[b..., k, n]."""
    return contract(b, op.lhs, op.rhs, transposed=False)


def contract(
    b: KernelBuilder,
    lhs: SSAValue,
    rhs: SSAValue,
    *,
    transposed: bool,
    body: Body = multiply_add,
) -> SSAValue:
    """Batched lhs @ rhs, or lhs @ rhs^T over the last dim of both, summed by `body`."""
    *batch, m = shape_of(lhs)[:-1]
    n = shape_of(rhs)[-2 if transposed else -1]
    first = len(batch)
    rank = first + 3
    batch_dims, row, column, inner = range(first), first, first + 1, first + 2
    rhs_dims = [column, inner] if transposed else [inner, column]
    return b.reduce(
        [
            (lhs, dims_map(rank, [*batch_dims, row, inner])),
            (rhs, dims_map(rank, [*batch_dims, *rhs_dims])),
        ],
        [*batch, m, n],
        dims_map(rank, [*batch_dims, row, column]),
        "p" * (first + 2) + "r",
        0,
        body,
    )
