"""`@tilecast.kernel`: Python loops over typed arrays, read as affine IR."""

from .element_types import f32, f64, i8, i32, i64
from .kernel import BoundKernel, Kernel, kernel

__all__ = ["BoundKernel", "Kernel", "f32", "f64", "i8", "i32", "i64", "kernel"]
