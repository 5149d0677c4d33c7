"""The dialect: all of its ops and attributes."""

from __future__ import annotations

from xdsl.ir import Dialect

from .base import SizesAttr
from .blocked import BLOCKED_OPS
from .contractions import AttentionOp, LinearOp, MatmulOp
from .control import CONTROL_OPS
from .creation import FullOp, IotaOp, WeightOp
from .elementwise import CastOp, PointwiseOp
from .launch import LaunchOp
from .layout import CatOp, PadOp, ReshapeOp, ViewOp
from .lookups import EmbeddingOp, GatherOp, IndexOp
from .opaque import OPAQUE_OPS
from .recurrent import RecurrentOp
from .reductions import NormOp, ReduceOp, ScanOp, SoftmaxOp
from .size_ops import SizeIndexOp, SizeOp
from .windows import ConvOp, PoolOp
from .winograd import WinogradConvOp

Graph = Dialect(
    "graph",
    [
        WeightOp,
        FullOp,
        IotaOp,
        PointwiseOp,
        CastOp,
        ViewOp,
        ReshapeOp,
        CatOp,
        PadOp,
        ReduceOp,
        ScanOp,
        SoftmaxOp,
        NormOp,
        LinearOp,
        MatmulOp,
        ConvOp,
        PoolOp,
        AttentionOp,
        EmbeddingOp,
        GatherOp,
        IndexOp,
        *BLOCKED_OPS,
        *OPAQUE_OPS,
        RecurrentOp,
        WinogradConvOp,
        SizeOp,
        SizeIndexOp,
        *CONTROL_OPS,
        LaunchOp,
    ],
    [SizesAttr],
)
