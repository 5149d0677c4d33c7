"""`python -m benchmarks.conformance.core`: the core ATen operators, and how each is imported."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from tilecast.compiler.frontend import complex_rules
from tilecast.compiler.frontend.decompositions import decomposition_of
from tilecast.compiler.frontend.rules import load_rules

GRADIENT = "a gradient formula"
RANDOM = "random numbers"
SYMBOLIC = "sizes that are known at run time only"

WITHOUT: dict[str, str] = {
    "aten._adaptive_avg_pool2d_backward.default": GRADIENT,
    "aten.avg_pool2d_backward.default": GRADIENT,
    "aten.embedding_dense_backward.default": GRADIENT,
    "aten.max_pool2d_with_indices_backward.default": GRADIENT,
    "aten.native_group_norm_backward.default": GRADIENT,
    "aten.native_layer_norm_backward.default": GRADIENT,
    "aten._local_scalar_dense.default": "a number that later shapes or branches depend on",
    "aten.nonzero.default": "the shape of the result depends on data",
    "aten.as_strided.default": "memory layout",
    "aten.empty_strided.default": "memory layout",
    "aten.resize_.default": "memory layout",
    "aten.atan2.out": "writes into an argument; export gives atan2.default",
    "aten.native_dropout.default": RANDOM,
    "aten.rand.default": RANDOM,
    "aten.randn.default": RANDOM,
    "aten.randperm.default": RANDOM,
    "aten.sym_numel.default": SYMBOLIC,
    "aten.sym_size.int": SYMBOLIC,
    "aten.sym_storage_offset.default": SYMBOLIC,
    "aten.sym_stride.int": SYMBOLIC,
}
"""Core operators that are refused, each with the reason."""


def core_operators() -> Iterator[torch._ops.OpOverload]:
    """Every overload that torch tags as core.

    `dir(torch.ops.aten)` has only what some code has used before.
    """
    registered = torch._C._dispatch_get_all_op_names()
    names = {
        name.removeprefix("aten::").partition(".")[0] for name in registered if "aten::" in name
    }
    for name in sorted(names):
        packet = getattr(torch.ops.aten, name)
        if isinstance(packet, torch._ops.OpOverloadPacket):
            for overload in packet.overloads():
                operator = getattr(packet, overload)
                if torch.Tag.core in operator.tags:
                    yield operator


def way_of(operator: torch._ops.OpOverload) -> str:
    """How a program with `operator` is imported: rule, parts (of complex numbers), decomposed,
    refused or missing."""
    if str(operator) in load_rules():
        return "rule"
    if complex_rules.has_rule(operator):
        return "parts"
    if str(operator) in WITHOUT:
        return "refused"
    return "decomposed" if decomposition_of(operator) is not None else "missing"


def main() -> None:
    """Print a line per operator."""
    for operator in core_operators():
        print(f"{way_of(operator):12}{operator}  {WITHOUT.get(str(operator), '')}".rstrip())


if __name__ == "__main__":
    main()
