"""The kernels of a model as C, OpenMP C and CUDA: a data set of verified pairs."""
