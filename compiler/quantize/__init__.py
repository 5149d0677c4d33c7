"""Quantize weights: of arrays, of models, and by patterns of names."""

from .model import quantize, quantized_weights, with_quantized_weights
from .quantizers import quantize_matrix

__all__ = ["quantize", "quantize_matrix", "quantized_weights", "with_quantized_weights"]
