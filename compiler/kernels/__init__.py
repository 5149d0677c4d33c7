"""Affine kernels as a user compiles them: `@tilecast.kernel` functions and affine `.mlir` files."""
