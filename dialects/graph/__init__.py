"""`graph` dialect: a model as named tensor ops on row-major tensors.

Rank-0 tensors stand for Python scalars. Every op may carry a `loc` string attribute. Ops of one
kind share a file; `blocked`, `winograd`, `control`, `opaque` and `recurrent` have those that only
some passes know, which are imported from there.
"""

from __future__ import annotations

from .base import (
    GraphOp,
    Ints,
    SizesAttr,
    Tensor,
    bounds_of,
    check_dim,
    element_of,
    extents_of_type,
    ints,
    is_dynamic,
    shape_of,
    tensor_of,
)
from .contractions import AttentionOp, LinearOp, MatmulOp
from .creation import FullOp, IotaOp, WeightOp
from .dialect import Graph
from .elementwise import CastOp, PointwiseOp, broadcast_shapes
from .launch import LaunchOp
from .layout import CatOp, PadOp, ReshapeOp, ViewOp
from .lookups import EmbeddingOp, GatherOp, IndexOp
from .reductions import NormOp, ReduceOp, ScanOp, SoftmaxOp
from .size_ops import SizeIndexOp, SizeOp
from .windows import ConvOp, PoolOp

__all__ = [
    "AttentionOp",
    "CastOp",
    "CatOp",
    "ConvOp",
    "EmbeddingOp",
    "FullOp",
    "GatherOp",
    "Graph",
    "GraphOp",
    "IndexOp",
    "Ints",
    "IotaOp",
    "LaunchOp",
    "LinearOp",
    "MatmulOp",
    "NormOp",
    "PadOp",
    "PointwiseOp",
    "PoolOp",
    "ReduceOp",
    "ReshapeOp",
    "ScanOp",
    "SizeIndexOp",
    "SizeOp",
    "SizesAttr",
    "SoftmaxOp",
    "Tensor",
    "ViewOp",
    "WeightOp",
    "bounds_of",
    "broadcast_shapes",
    "check_dim",
    "element_of",
    "extents_of_type",
    "ints",
    "is_dynamic",
    "shape_of",
    "tensor_of",
]
