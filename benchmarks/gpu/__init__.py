"""GPU benchmarks in two steps: sources are prepared anywhere, built and measured where a GPU is."""
