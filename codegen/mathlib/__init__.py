"""Vectorizable elementary functions with stated error bounds, written as IR."""

from .library import build_function

__all__ = ["build_function"]
