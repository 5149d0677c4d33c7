"""Results far from the reference for which rounding errors are enough: which answers are open.

Two numbers closer than their rounding errors have no order that a program must find: argmax, a
sort or a comparison may answer either way. Sums whose terms cancel, such as the variance of equal
numbers, are off by rounding errors of the terms, however small they are. Running the program in
float64 with errors as large as rounding makes them, several times, shows what is open.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import GraphModule, Node
from torch.utils._pytree import tree_leaves, tree_map

from .compare import CONSTANT_ROUNDINGS, Floats
from .eager import NARROW, DoubleInterpreter, run_program

Array = npt.NDArray[Any]
RUNS = 8
ODD = 0x9E3779B97F4A7C15 - (1 << 64)  # the golden ratio in 64 bits: spreads what it multiplies
FLOATS = (*NARROW, torch.float64)
# Operators that add up differences: terms that cancel leave the errors of the terms.
SUM_NAMES = """
var var_mean std std_mean mean sum cumsum linalg_vector_norm layer_norm native_layer_norm
group_norm native_group_norm batch_norm matmul mm bmm addmm linear einsum dot convolution conv1d
conv2d softmax log_softmax logsumexp scaled_dot_product_attention
"""
SUMS = frozenset(SUM_NAMES.split())
ROUNDINGS_OF_TIES = 16.0
COMPARISONS = frozenset(["eq", "ne", "lt", "le", "gt", "ge"])


class RoundingInterpreter(DoubleInterpreter):
    """Float64 with an error in every float that an operator computes, of its own type's size.

    The error is a function of the value, so that equal values stay equal: their order is settled.
    Only terms of sums have errors of their own.
    """

    def __init__(self, module: GraphModule, seed: int) -> None:
        super().__init__(module)
        self.seed = seed
        self.narrowest = torch.float64  # of the types at the node that runs

    def nested(self, module: GraphModule) -> DoubleInterpreter:
        """A subgraph with errors too."""
        return RoundingInterpreter(module, self.seed)

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Call an operator; sums with an error in every term."""
        name = str(target).removeprefix("aten.").partition(".")[0]
        if name in SUMS:
            args = tree_map(self.with_error_per_place, args)
        if name in COMPARISONS and self.seed % 2 and torch.result_type(*args).is_floating_point:
            args = self.with_ties(*args)
        return super().call_function(target, args, kwargs)

    def with_error_per_place(self, x: Any) -> Any:
        """A float tensor with an error in each element, of the size that its type rounds by."""
        if not isinstance(x, Tensor) or not x.is_floating_point():
            return x
        wide = x.to(torch.float64)
        places = torch.arange(1, x.numel() + 1).view(x.shape)
        # The argument is float64 by now, and may have been rounded to less when it was computed.
        return wide + self.noise(places) * torch.finfo(self.narrowest).eps * wide

    def with_ties(self, left: Tensor, right: Any) -> tuple[Tensor, Any]:
        """Both, equal where some roundings tell them apart and one of them was computed: runs with
        errors of their own would hardly ever meet. What was given is a number of its type."""
        wide = [torch.as_tensor(value, dtype=torch.float64) for value in (left, right)]
        given = [value == value.to(self.narrowest) for value in wide]
        size = torch.finfo(self.narrowest).eps * (wide[0].abs() + wide[1].abs())
        is_near = (wide[0] - wide[1]).abs() <= ROUNDINGS_OF_TIES * size
        return torch.where(is_near & ~(given[0] & given[1]), wide[1], wide[0]), right

    def run_node(self, n: Node) -> Any:
        """The node's result, with errors."""
        self.narrowest = narrowest_of(n)
        result = super().run_node(n)
        if n.op != "call_function":
            return result
        if isinstance(result, Tensor) and self.is_alias(n, result):
            # What is written through a view has to reach the tensor that it is a view of.
            schema = getattr(n.target, "_schema", None)
            if schema is not None and schema.is_mutable:
                result.copy_(self.with_errors(result, n.meta.get("val")))
            return result
        return self.with_errors(result, n.meta.get("val"))

    def is_alias(self, n: Node, result: Tensor) -> bool:
        """Whether `result` shares memory with an argument."""
        given, _ = self.fetch_args_kwargs_from_env(n)
        memory = result.untyped_storage().data_ptr()
        return any(
            isinstance(leaf, Tensor) and leaf.untyped_storage().data_ptr() == memory
            for leaf in tree_leaves(given)
        )

    def with_errors(self, result: Any, declared: Any) -> Any:
        """`result` with an error in every tensor whose `declared` type is narrow."""
        if isinstance(result, tuple | list):
            pairs = zip(result, declared or [None] * len(result), strict=True)
            return type(result)(self.with_errors(*pair) for pair in pairs)
        if not isinstance(result, Tensor) or result.dtype != torch.float64:
            return result
        dtype = declared.dtype if isinstance(declared, Tensor) else torch.float32
        return self.with_error(result, dtype) if dtype in FLOATS else result

    def with_error(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """`x` off by some units of `dtype`, of the number or of the size typical for the tensor."""
        scale = CONSTANT_ROUNDINGS * torch.finfo(dtype).eps
        finite = torch.where(x.isfinite(), x, 0.0)
        typical = finite.square().mean().sqrt()
        noise = self.noise(x.contiguous().view(torch.int64))
        error = torch.where(finite == 0.0, 0.0, noise * scale * (finite.abs() + typical))
        return x + error

    def noise(self, keys: Tensor) -> Tensor:
        """Numbers between -1 and 1, equal for equal integers."""
        return (((keys + self.seed) * ODD) >> 32).double() / 2.0**31


def narrowest_of(n: Node) -> torch.dtype:
    """The narrowest float type that a node reads or computes; float64 where it has none."""
    values = tree_leaves([given.meta.get("val") for given in (*n.all_input_nodes, n)])
    types = [v.dtype for v in values if isinstance(v, Tensor) and v.dtype in FLOATS]
    return max(types, key=lambda dtype: torch.finfo(dtype).eps, default=torch.float64)


def possible_results(
    program: ExportedProgram, leaves: Sequence[Any], seed: int, changed: Sequence[int] = ()
) -> list[list[Any]]:
    """What `run_program` gives in `RUNS` runs, each with other rounding errors."""
    return [
        run_program(program, leaves, partial(RoundingInterpreter, seed=seed + k), changed)
        for k in range(RUNS)
    ]


def spread_of(reference: Array, runs: Sequence[Array]) -> Floats:
    """How far runs with other rounding errors are from the reference, element by element; where one
    has no number (a root of what is near zero), what the others say."""
    want = reference.astype(np.float64)
    with np.errstate(invalid="ignore"):
        distances = [np.abs(run.astype(np.float64) - want) for run in runs]
    numbers = np.where(np.isfinite(distances), distances, 0.0)
    spread: Floats = numbers.max(axis=0)
    return spread
