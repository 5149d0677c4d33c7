"""Tile programs to CUDA C++."""
