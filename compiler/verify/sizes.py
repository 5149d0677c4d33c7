"""Sizes to verify a model with dynamic shapes at, and what is checked there.

in:  kernels over tensors whose extents are symbols, example inputs of one size
out: the same kernels over tensors of numbers, inputs of other sizes
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from xdsl.dialects import arith
from xdsl.dialects.builtin import IndexType, TensorType
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute
from xdsl.rewriter import Rewriter

from ...dialects.graph import SizeIndexOp, extents_of_type, is_dynamic
from ...dialects.sizes import Symbol, symbols_of, value_at
from ..runtime.call_sizes import shape_at
from ..runtime.signature import Signature

Values = Mapping[str, int]
POINTS = 4  # how many combinations of sizes are verified


def size_points(symbols: Sequence[Symbol], rng: np.random.Generator) -> list[Values]:
    """The smallest and largest sizes, and some between; one empty point without symbols."""
    if not symbols:
        return [{}]
    between = [
        {s.name: int(rng.integers(s.low, s.high, endpoint=True)) for s in symbols}
        for _ in range(POINTS - 2)
    ]
    return [{s.name: s.low for s in symbols}, {s.name: s.high for s in symbols}, *between]


def symbols_in(func: FuncOp) -> list[Symbol]:
    """The symbols that the tensors of a kernel depend on."""
    values = [*func.body.block.args, *(r for op in func.walk() for r in op.results)]
    sizes = [n for v in values if isinstance(v.type, TensorType) for n in extents_of_type(v.type)]
    return symbols_of([*sizes, *(op.value for op in func.walk() if isinstance(op, SizeIndexOp))])


def at_sizes(func: FuncOp, values: Values) -> FuncOp:
    """`func` with numbers for its symbols; itself where it has none."""
    if not values:
        return func
    copy = func.clone()
    for op in list(copy.walk()):
        if isinstance(op, SizeIndexOp):
            number = value_at(op.value, values)
            Rewriter.replace_op(op, arith.ConstantOp.from_int_and_width(number, IndexType()))
            continue
        for region in op.regions:
            for block in region.blocks:
                for argument in list(block.args):
                    if is_dynamic(argument.type):
                        Rewriter.replace_value_with_new_type(
                            argument, _fixed(argument.type, values)
                        )
        for result in list(op.results):
            if is_dynamic(result.type):
                Rewriter.replace_value_with_new_type(result, _fixed(result.type, values))
    copy.update_function_type()  # type: ignore[no-untyped-call]
    return copy


def _fixed(type: Attribute, values: Values) -> Attribute:
    assert isinstance(type, TensorType)
    extents = [value_at(n, values) for n in extents_of_type(type)]
    return TensorType(type.element_type, extents)


def resized_leaves(signature: Signature, leaves: Sequence[Any], values: Values) -> list[Any]:
    """The example inputs at other sizes: cut, or repeated from the start; as they are for none."""
    resized = list(leaves)
    if not values:
        return resized
    for spec, position in zip(signature.inputs, signature.positions, strict=True):
        if spec.is_dynamic:
            resized[position] = _resized(leaves[position], shape_at(spec, values))
    return resized


def _resized(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    for dim, extent in enumerate(shape):
        if extent != tensor.shape[dim]:
            picked = torch.arange(extent) % tensor.shape[dim]
            tensor = tensor.index_select(dim, picked)
    return tensor
