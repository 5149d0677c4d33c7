"""CUDA text of what the Python runtime calls; free of IR, so that cached models load quickly."""

from __future__ import annotations


def emit_cuda_call(name: str) -> str:
    """What the Python runtime calls: the program, and the error that it met."""
    signature = (
        "const void *const *inputs, void *const *outputs, const void *const *weights,\n"
        "    unsigned char *arena"
    )
    return f"""/* Runs {name}; used by the Python runtime only. */
#include "tilecast_cuda.h"

extern "C" {{

void {name}_program({signature});

void {name}_call({signature}, int)
{{
    {name}_program(inputs, outputs, weights, arena);
}}

}}

{emit_cuda_device_error(name)}"""


def emit_cuda_device_error(name: str) -> str:
    """A function that waits for the device, and says what went wrong; NULL where nothing did."""
    return f"""#include "tilecast_cuda.h"

extern "C" const char *{name}_device_error(void)
{{
    const cudaError_t error = cudaDeviceSynchronize();
    return error == cudaSuccess ? NULL : cudaGetErrorString(error);
}}
"""
