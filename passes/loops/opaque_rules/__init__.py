"""How each opaque op becomes loops: one rule per op, registered beside its definition."""

from ..lowbit import linear
from . import argsort, recurrent, scatter, searchsorted, winograd
from .rule import RULES

__all__ = ["RULES", "argsort", "linear", "recurrent", "scatter", "searchsorted", "winograd"]
