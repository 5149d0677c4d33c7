"""The tile dialect: all its ops and types."""

from __future__ import annotations

from xdsl.ir import Dialect

from . import launch, ops, types, weight_pack

Tile = Dialect(
    "tile",
    [
        ops.ProgramOp,
        ops.BlockIndexOp,
        ops.ViewGlobalOp,
        ops.AllocSharedOp,
        ops.FillOp,
        ops.IndicesOp,
        ops.LoadGlobalOp,
        ops.StoreGlobalOp,
        ops.LoadSharedOp,
        ops.StoreSharedOp,
        ops.CopyAsyncOp,
        ops.CommitOp,
        ops.WaitOp,
        ops.SyncOp,
        ops.ViewOp,
        ops.CastOp,
        ops.LookupOp,
        ops.DotOp,
        ops.UnaryOp,
        ops.BinaryOp,
        ops.MapOp,
        ops.YieldOp,
        ops.BroadcastOp,
        ops.ReduceOp,
        ops.TransposeOp,
        ops.LockOp,
        ops.ReleaseOp,
        launch.LaunchOp,
        launch.PartOp,
    ],
    [
        types.CodeType,
        types.PointerType,
        types.GlobalType,
        types.SharedType,
        types.RegisterType,
        weight_pack.WeightPackAttr,
    ],
)
