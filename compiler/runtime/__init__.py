"""Build, cache, load and call compiled kernels."""
