"""Loops of products with quantized weights: layout, decoding in registers, accumulation."""
