"""Quantize weights: of arrays, of models, and by patterns of names."""

from .activation_support import check_activations
from .model import activations_of, quantize, quantized_weights, with_quantized_weights
from .quantizers import quantize_matrix

__all__ = [
    "activations_of",
    "check_activations",
    "quantize",
    "quantize_matrix",
    "quantized_weights",
    "with_quantized_weights",
]
