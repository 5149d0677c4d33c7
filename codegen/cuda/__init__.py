"""CUDA C++ emission: loops with bound axes and tile programs become kernels."""
