"""Compile PyTorch models into standalone, verified, vectorized C."""
