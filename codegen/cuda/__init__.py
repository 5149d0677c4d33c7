"""CUDA C++ emission: loops with bound axes become kernels, the program a host launcher."""
