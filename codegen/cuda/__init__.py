"""CUDA C++ from IR, and its emulation on the host."""
