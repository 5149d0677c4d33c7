"""How each `graph` op becomes linalg: one rule per op, registered beside its definition."""

from . import (
    attention,
    contraction,
    division,
    indexing,
    pointwise,
    powers,
    reduction,
    special,
    window,
)
from .rule import RULES

__all__ = [
    "RULES",
    "attention",
    "contraction",
    "division",
    "indexing",
    "pointwise",
    "powers",
    "reduction",
    "special",
    "window",
]
