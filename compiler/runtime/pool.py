"""Output buffers that are used again once the caller has dropped every reference to them.

Fresh memory for a large result costs one page fault per 4 KiB; a reused buffer costs none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .signature import TensorSpec

# Below this size the allocator hands out warm memory anyway.
POOLED_BYTES = 64 * 1024
MAX_BUFFERS = 4
# The pool's own tensor and the one just made.
IDLE_REFERENCES = 2

use_count: Callable[[int], int] | None = getattr(torch._C, "_storage_Use_Count", None)


@dataclass(frozen=True)
class Buffer:
    """A tensor the pool keeps, where its data was when made, and its storage's identity."""

    tensor: Tensor
    address: int
    storage: int


class OutputPool:
    """Hands out tensors of one type and shape.

    Every alias of a result (views, numpy arrays, DLPack capsules, saved tensors) holds a reference
    to its storage, so a storage with no reference besides the pool's is free. The alias for the
    caller is made before the count is read: of two threads that race for a buffer at most one
    sees the idle count, and nobody ever gets a buffer that is in use.
    """

    def __init__(self, spec: TensorSpec) -> None:
        self.shape = spec.shape
        self.dtype = spec.torch_dtype
        self.pooled = spec.bytes >= POOLED_BYTES and use_count is not None
        self.buffers: list[Buffer] = []

    def take(self) -> Tensor:
        """A contiguous tensor with arbitrary content that nobody else sees."""
        if not self.pooled:
            return torch.empty(self.shape, dtype=self.dtype)
        assert use_count is not None
        for buffer in self.buffers:
            tensor = buffer.tensor.detach()
            if use_count(buffer.storage) != IDLE_REFERENCES:
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
        if len(self.buffers) < MAX_BUFFERS:
            storage = tensor.untyped_storage()._cdata
            self.buffers = [*self.buffers, Buffer(tensor, tensor.data_ptr(), storage)]
            return tensor.detach()
        return tensor
