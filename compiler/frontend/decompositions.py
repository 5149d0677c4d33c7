"""The operators that a program calls, and what torch decomposes them into."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import GraphModule, Node


def operator_name(node: Node) -> str:
    """The overload a call node names, e.g. "aten.linear.default"."""
    return str(node.target).removeprefix("torch.ops.")


def calls(program: ExportedProgram) -> Iterable[Node]:
    """Operator calls of all graphs, without the picking of tuple elements."""
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, GraphModule) else ():
            if node.op == "call_function" and "getitem" not in str(node.target):
                yield node


def decomposition_of(op: Any) -> Callable[..., Any] | None:
    """torch's rule for `op`: from the table of export, else any registered decomposition."""
    from torch._decomp import decomposition_table

    if not isinstance(op, torch._ops.OpOverload):
        return None
    found: Callable[..., Any] | None = _default_decompositions().get(op)
    return found or decomposition_table.get(op)


@lru_cache(maxsize=1)
def _default_decompositions() -> dict[Any, Callable[..., Any]]:
    return dict(torch.export.default_decompositions().items())  # type: ignore[no-untyped-call]
