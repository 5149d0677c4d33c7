"""Passes on `graph` and `linalg`: simplify, group into kernels, structure."""
