"""The corpus that cost models learn from: kernels of models, PolyBench, random affine programs."""
