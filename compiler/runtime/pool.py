"""Output buffers that are used again once the caller has dropped every reference to them.

Fresh memory for a large result costs one page fault per 4 KiB; a reused buffer costs none.
"""

from __future__ import annotations

from collections.abc import Callable
from sys import getrefcount

import torch
from torch import Tensor

from .signature import TensorSpec

# Below this size the allocator hands out warm memory anyway.
POOLED_BYTES = 64 * 1024
MAX_BUFFERS = 4

use_count: Callable[[int], int] | None = getattr(torch._C, "_storage_Use_Count", None)


class Buffer:
    """A tensor the pool keeps, and how many references its storage has while nobody uses it.

    The Python object of a storage may be kept by a caller without adding to the storage's own
    count, so its references are counted too.
    """

    def __init__(self, tensor: Tensor, count: Callable[[int], int]) -> None:
        self.tensor = tensor
        self.address = tensor.data_ptr()
        self.storage = tensor.untyped_storage()
        self.identity = self.storage._cdata
        self.count = count
        self.idle_references = getrefcount(self.storage)
        # One more is the alias that is made before the count is read.
        self.idle_uses = count(self.identity) + 1

    def is_idle(self) -> bool:
        """Whether only the pool, and one alias just made, refer to the storage."""
        return (
            self.count(self.identity) == self.idle_uses
            and getrefcount(self.storage) == self.idle_references
        )


class OutputPool:
    """Hands out tensors of one type and shape.

    Every alias of a result (views, numpy arrays, DLPack capsules, saved tensors) holds a reference
    to its storage, so a storage with no more references than the pool's is free. The alias for the
    caller is made before the count is read: of two threads that race for a buffer at most one
    sees the idle count, and nobody ever gets a buffer that is in use.
    """

    def __init__(self, spec: TensorSpec) -> None:
        self.shape = spec.shape
        self.dtype = spec.torch_dtype
        # results whose size differs from call to call are left to torch's allocator
        is_fixed = not spec.is_dynamic
        self.pooled = is_fixed and spec.bytes >= POOLED_BYTES and use_count is not None
        self.buffers: list[Buffer] = []
        # one like another takes half the time of one from a shape and a type
        small = is_fixed and not self.pooled
        self.pattern = torch.empty(self.shape, dtype=self.dtype) if small else None

    def take(self) -> Tensor:
        """A contiguous tensor with arbitrary content that nobody else sees."""
        if self.pattern is not None:
            return torch.empty_like(self.pattern)
        if not self.pooled:
            return torch.empty(self.shape, dtype=self.dtype)
        for buffer in self.buffers:
            tensor = buffer.tensor.detach()
            if not buffer.is_idle():
                continue
            if tensor.data_ptr() == buffer.address:
                return tensor
            # Somebody resized the storage or moved it to shared memory: it is not ours any more.
            self.buffers = [kept for kept in self.buffers if kept is not buffer]
        return self.fresh()

    def fresh(self) -> Tensor:
        """A new tensor, kept for later unless the pool is full."""
        # A tensor made in inference mode could never be used outside of it.
        with torch.inference_mode(False):
            tensor = torch.empty(self.shape, dtype=self.dtype)
        if use_count is None or len(self.buffers) >= MAX_BUFFERS:
            return tensor
        buffer = Buffer(tensor, use_count)
        result = tensor.detach()  # before other threads can see the buffer
        self.buffers = [*self.buffers, buffer]
        return result
