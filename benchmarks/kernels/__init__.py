"""Speed of single kernels next to their peers: `python -m benchmarks.kernels`."""
