"""Samples of torch's operator database as modules: tensors are inputs, all else is compiled in."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

DTYPES = {
    "float32": torch.float32,
    "int64": torch.int64,
    "bool": torch.bool,
    "bfloat16": torch.bfloat16,
    "uint8": torch.uint8,
}


class SampleModule(nn.Module):
    """One call of an operator; its tensor arguments are the inputs of `forward`."""

    def __init__(self, function: Any, leaves: Sequence[Any], spec: TreeSpec) -> None:
        super().__init__()
        self.function, self.spec = function, spec
        self.leaves = [None if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        self.places = [k for k, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]

    def forward(self, *tensors: Tensor) -> Any:
        """The operator on `tensors` and the constants of the sample."""
        leaves = list(self.leaves)
        for place, tensor in zip(self.places, tensors, strict=True):
            leaves[place] = tensor
        args, kwargs = tree_unflatten(leaves, self.spec)
        return self.function(*args, **kwargs)


@dataclass(frozen=True)
class Sample:
    """Sample number `index` of an operator in one element type."""

    operator: str
    dtype: str
    index: int
    module: SampleModule
    inputs: tuple[Tensor, ...]
    dynamic_shapes: Any = None  # as torch.export takes them

    def __str__(self) -> str:
        return f"{self.operator} {self.dtype} #{self.index}"


@cache
def operators() -> dict[str, Any]:
    """torch's OpInfos by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_methods_invocations import op_db

    return {info.formatted_name: info for info in op_db}


def samples_of(operator: str, dtype: str, most: int) -> Iterator[Sample]:
    """At most `most` samples, spread evenly over those that torch has."""
    info = operators()[operator]
    if DTYPES[dtype] not in info.supported_dtypes("cpu"):
        return
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        listed = list(info.sample_inputs("cpu", DTYPES[dtype], requires_grad=False))
    chosen = sorted({round(k * (len(listed) - 1) / max(1, most - 1)) for k in range(most)})
    for index in chosen if len(listed) > most else range(len(listed)):
        sample = listed[index]
        leaves, spec = tree_flatten(((sample.input, *sample.args), sample.kwargs))
        tensors = tuple(leaf.detach() for leaf in leaves if isinstance(leaf, Tensor))
        yield Sample(operator, dtype, index, SampleModule(info.op, leaves, spec), tensors)
