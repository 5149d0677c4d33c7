"""Mark stores of results that no cache can hold as non-temporal.

before: vector.store %v, %out[%i]                          %out: memref<16384x2048xf32>
after:  vector.store %v, %out[%i] {nontemporal = true}

A plain store reads its cache line first and pushes others out of the caches: a third of the traffic
of a copy.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects import vector
from xdsl.dialects.builtin import BoolAttr, ModuleOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass

from ..context import CompileContext
from .kernel_interface import uncached_arguments


def _stores_only(array: SSAValue) -> list[vector.StoreOp] | None:
    """The stores to `array`, where nothing else touches it and each fills a vector."""
    stores = []
    for use in array.uses:
        op = use.operation
        if not isinstance(op, vector.StoreOp):
            return None
        stores.append(op)
    return stores


@dataclass(frozen=True)
class StreamStoresPass(ModulePass):
    """Let kernels write results larger than the last-level cache around the caches."""

    name = "stream-stores"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        assert isinstance(ctx, CompileContext)
        for _, array, _ in uncached_arguments(op, ctx.machine):
            for store in _stores_only(array) or []:
                store.properties["nontemporal"] = BoolAttr.from_bool(True)
