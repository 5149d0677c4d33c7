"""Integer results that follow from comparing floats: which answers rounding errors can lead to.

Two numbers closer than their rounding errors have no order that a program must find: argmax, a
sort or a comparison may answer either way. Running the program in float64 with errors as large as
rounding makes them, several times, shows the answers that are open.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import GraphModule, Node
from torch.utils._pytree import tree_leaves

from .compare import CONSTANT_ROUNDINGS
from .eager import NARROW, DoubleInterpreter, run_program

RUNS = 8
ODD = 0x9E3779B97F4A7C15 - (1 << 64)  # the golden ratio in 64 bits: spreads what it multiplies


class RoundingInterpreter(DoubleInterpreter):
    """Float64 with an error in every float that an operator computes, of its own type's size.

    The error is a function of the value, so that equal values stay equal: their order is settled.
    """

    def __init__(self, module: GraphModule, seed: int) -> None:
        super().__init__(module)
        self.seed = seed

    def nested(self, module: GraphModule) -> DoubleInterpreter:
        """A subgraph with errors too."""
        return RoundingInterpreter(module, self.seed)

    def run_node(self, n: Node) -> Any:
        """The node's result, with errors."""
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
        return self.with_error(result, dtype) if dtype in NARROW else result

    def with_error(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """`x` off by some units of `dtype`, of the number or of the size typical for the tensor."""
        scale = CONSTANT_ROUNDINGS * torch.finfo(dtype).eps
        finite = torch.where(x.isfinite(), x, 0.0)
        typical = finite.square().mean().sqrt()
        spread = (x.contiguous().view(torch.int64) + self.seed) * ODD
        noise = (spread >> 32).double() / 2.0**31
        error = torch.where(finite == 0.0, 0.0, noise * scale * (finite.abs() + typical))
        return x + error


def possible_results(
    program: ExportedProgram, leaves: Sequence[Any], seed: int, changed: Sequence[int] = ()
) -> list[list[Any]]:
    """What `run_program` gives in `RUNS` runs, each with other rounding errors."""
    return [
        run_program(program, leaves, partial(RoundingInterpreter, seed=seed + k), changed)
        for k in range(RUNS)
    ]
