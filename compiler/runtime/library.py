"""A built shared library: the model's entry point and its kernels, called through ctypes."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ...codegen.cuda.call import emit_cuda_call
from ...costmodel.hardware import Machine
from ...dialects.errors import BuildError, DeviceError

Array = npt.NDArray[np.generic]
CALL_SOURCE = "runtime_call.c"
CUDA_CALL_SOURCE = "runtime_call.cu"


def call_unit(name: str) -> str:
    """C text of `NAME_call`: the program, run with a given number of threads.

    The OpenMP runtime may be the one that torch uses too, so the caller's setting is put back.
    """
    signature = (
        "const void *const *inputs, void *const *outputs, const void *const *weights,\n"
        "    unsigned char *arena"
    )
    return f"""/* Runs {name} with a thread count of its own; used by the Python runtime only. */
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

void {name}_program({signature});
void {name}_call({signature}, int threads);
void {name}_fetch(void *to, const void *weight, size_t bytes);

/* Streamed programs copy weights into their arena: here from memory. */
void {name}_fetch(void *to, const void *weight, size_t bytes)
{{
    memcpy(to, weight, bytes);
}}

void {name}_call({signature}, int threads)
{{
#ifdef _OPENMP
    const int before = omp_get_max_threads();
    if (before != threads)
        omp_set_num_threads(threads);
#else
    (void)threads;
#endif
    {name}_program(inputs, outputs, weights, arena);
#ifdef _OPENMP
    if (before != threads)
        omp_set_num_threads(before);
#endif
}}
"""


def call_units(name: str, machine: Machine) -> dict[str, str]:
    """The file that the Python runtime calls the program through."""
    if machine.is_gpu:
        return {CUDA_CALL_SOURCE: emit_cuda_call(name)}
    return {CALL_SOURCE: call_unit(name)}


class Library:
    """An open shared library with the model `name` in it, and its weights in program order."""

    def __init__(self, path: Path, name: str, weights: Mapping[str, Array], threads: int) -> None:
        try:
            self._library = ctypes.CDLL(str(path))
            self.program: Any = self._library[f"{name}_call"]
        except (OSError, AttributeError) as error:
            raise BuildError(f"the built library {path.name} cannot be loaded: {error}") from error
        self.program.restype = None
        self._device_error: Any = getattr(self._library, f"{name}_device_error", None)
        if self._device_error is not None:
            self._device_error.restype = ctypes.c_char_p
        self.name = name
        # Arrays must outlive the pointers to them.
        self._weights = [np.ascontiguousarray(array) for array in weights.values()]
        pointers = [array.ctypes.data for array in self._weights]
        self.weights = (ctypes.c_void_p * max(1, len(pointers)))(*pointers)
        self.threads = ctypes.c_int(threads)

    def run_program(
        self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], arena: Array, threads: int
    ) -> None:
        """Call the program on dense tensors; `arena` starts at a multiple of 64."""
        pointers = [
            (ctypes.c_void_p * max(1, len(tensors)))(*(t.data_ptr() for t in tensors))
            for tensors in (inputs, outputs)
        ]
        place = ctypes.c_void_p(arena.ctypes.data)
        self.program(*pointers, self.weights, place, ctypes.c_int(threads))
        self._check_device()

    def run_kernel(
        self, name: str, arrays: Sequence[npt.NDArray[Any]], sizes: Sequence[int] = ()
    ) -> None:
        """Call one kernel by itself on its sizes and contiguous arrays, outputs last."""
        kernel = self._library[f"{self.name}_{name}"]
        kernel.restype = None
        for array in arrays:
            assert array.flags.c_contiguous, "kernels take contiguous arrays"
        pointers = (ctypes.c_void_p(array.ctypes.data) for array in arrays)
        kernel(*map(ctypes.c_int64, sizes), *pointers)
        self._check_device()

    def _check_device(self) -> None:
        """DeviceError where a CUDA kernel met an error since the library was loaded."""
        message = self._device_error() if self._device_error is not None else None
        if message is not None:
            raise DeviceError(f"a CUDA kernel of {self.name} failed: {message.decode()}")
