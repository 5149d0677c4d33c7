"""The 30 kernels of PolyBench/C 4.2 in the kernel language, with data and NumPy references."""

from .benchmark import BENCHMARKS, DATASETS, Benchmark, load_all

__all__ = ["BENCHMARKS", "DATASETS", "Benchmark", "load_all"]
