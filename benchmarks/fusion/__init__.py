"""Kernels grouped by rules and by the cost model, side by side."""
