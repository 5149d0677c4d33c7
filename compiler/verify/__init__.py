"""Check kernels and models against float64 references."""
