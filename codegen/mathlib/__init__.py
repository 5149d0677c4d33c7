"""Vectorizable elementary functions with stated error bounds, written as IR."""
