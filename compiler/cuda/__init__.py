"""Building CUDA C++: by nvcc with its reports, by g++ with the emulation."""
