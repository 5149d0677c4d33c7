"""Ops of the `tile` dialect, by what they are about.

Each op is carried out by all threads of a block together. Register tiles are values; accesses of
global and shared memory are ordered by `tile.sync` and by groups of asynchronous copies only.
Control flow is `scf.for` and `scf.if`, index arithmetic is `arith`.
"""

from __future__ import annotations

from .across import REDUCTIONS, BroadcastOp, DotOp, ReduceOp, TransposeOp
from .checks import check_same, check_same_layout, register_of, tile_of
from .elementwise import (
    BINARY,
    UNARY,
    BinaryOp,
    CastOp,
    FillOp,
    IndicesOp,
    LookupOp,
    MapOp,
    UnaryOp,
    ViewOp,
    YieldOp,
)
from .memory import (
    AccessOp,
    CommitOp,
    CopyAsyncOp,
    LoadGlobalOp,
    LoadOp,
    LoadSharedOp,
    StoreGlobalOp,
    StoreOp,
    StoreSharedOp,
    WaitOp,
)
from .program import AllocSharedOp, BlockIndexOp, ProgramOp, ViewGlobalOp
from .synchronization import LockOp, ReleaseOp, SyncOp

__all__ = [
    "BINARY",
    "REDUCTIONS",
    "UNARY",
    "AccessOp",
    "AllocSharedOp",
    "BinaryOp",
    "BlockIndexOp",
    "BroadcastOp",
    "CastOp",
    "CommitOp",
    "CopyAsyncOp",
    "DotOp",
    "FillOp",
    "IndicesOp",
    "LoadGlobalOp",
    "LoadOp",
    "LoadSharedOp",
    "LockOp",
    "LookupOp",
    "MapOp",
    "ProgramOp",
    "ReduceOp",
    "ReleaseOp",
    "StoreGlobalOp",
    "StoreOp",
    "StoreSharedOp",
    "SyncOp",
    "TransposeOp",
    "UnaryOp",
    "ViewGlobalOp",
    "ViewOp",
    "WaitOp",
    "YieldOp",
    "check_same",
    "check_same_layout",
    "register_of",
    "tile_of",
]
