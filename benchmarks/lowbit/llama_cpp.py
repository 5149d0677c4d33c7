"""llama.cpp's products with quantized weights, through the ggml libraries of `llama-cpp-python`.

in:  a shape and the name of a ggml type, such as Q4_0
out: a call that computes the product with each of many copies of the weight, as one graph

Weights lie in the buffer that llama.cpp would choose: rearranged for wide products where ggml can.
"""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .rotation import copies_needed

# ggml.h: type, elements per block, largest relative error that rounding explains
TYPES = {
    "Q4_0": (2, 32, 0.15),
    "Q5_0": (6, 32, 0.08),
    "Q8_0": (8, 32, 0.02),
    "Q2_K": (10, 256, 0.5),
    "Q3_K": (11, 256, 0.25),
    "Q4_K": (12, 256, 0.12),
    "Q6_K": (14, 256, 0.04),
}
F32 = 0
BUFFER_OF_TENSOR = 8  # bytes from the start of a ggml_tensor
POINTER, SIZE, INT = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64
FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "ggml_tensor_overhead": (SIZE, ()),
    "ggml_graph_overhead_custom": (SIZE, (SIZE, ctypes.c_bool)),
    "ggml_new_tensor_2d": (POINTER, (POINTER, ctypes.c_int, INT, INT)),
    "ggml_row_size": (SIZE, (ctypes.c_int, INT)),
    "ggml_get_data": (POINTER, (POINTER,)),
    "ggml_mul_mat": (POINTER, (POINTER, POINTER, POINTER)),
    "ggml_new_graph_custom": (POINTER, (POINTER, SIZE, ctypes.c_bool)),
    "ggml_build_forward_expand": (None, (POINTER, POINTER)),
    "ggml_quantize_chunk": (
        SIZE,
        (ctypes.c_int, POINTER, POINTER, INT, INT, INT, POINTER),
    ),
    "ggml_backend_cpu_init": (POINTER, ()),
    "ggml_backend_cpu_reg": (POINTER, ()),
    "ggml_backend_cpu_set_n_threads": (None, (POINTER, ctypes.c_int)),
    "ggml_backend_cpu_buffer_type": (POINTER, ()),
    "ggml_backend_reg_dev_get": (POINTER, (POINTER, SIZE)),
    "ggml_backend_reg_get_proc_address": (POINTER, (POINTER, ctypes.c_char_p)),
    "ggml_backend_buft_alloc_buffer": (POINTER, (POINTER, SIZE)),
    "ggml_backend_dev_supports_op": (ctypes.c_bool, (POINTER, POINTER)),
    "ggml_backend_alloc_ctx_tensors_from_buft": (POINTER, (POINTER, POINTER)),
    "ggml_backend_tensor_set": (None, (POINTER, POINTER, SIZE, SIZE)),
    "ggml_backend_graph_compute": (ctypes.c_int, (POINTER, POINTER)),
}


class InitParameters(ctypes.Structure):
    """ggml_init_params."""

    _fields_ = (("mem_size", SIZE), ("mem_buffer", POINTER), ("no_alloc", ctypes.c_bool))


def library_folder() -> Path | None:
    """Where llama-cpp-python keeps its libraries; None where it is not installed."""
    spec = importlib.util.find_spec("llama_cpp")
    places = [] if spec is None else list(spec.submodule_search_locations or [])
    return next((Path(p) / "lib" for p in places if (Path(p) / "lib").is_dir()), None)


@lru_cache(maxsize=1)
def ggml() -> dict[str, Callable[..., Any]]:
    """The functions above, by name."""
    folder = library_folder()
    if folder is None:
        raise ModuleNotFoundError("llama-cpp-python is not installed")
    names = ("libggml-base.so", "libggml-cpu.so", "libggml.so")
    libraries = [ctypes.CDLL(str(folder / name), mode=ctypes.RTLD_GLOBAL) for name in names]
    found: dict[str, Callable[..., Any]] = {}
    for name, (result, arguments) in {
        **FUNCTIONS,
        "ggml_init": (POINTER, (InitParameters,)),
    }.items():
        function = next(getattr(lib, name) for lib in libraries if hasattr(lib, name))
        function.restype, function.argtypes = result, arguments
        found[name] = function
    return found


def llama_cpp(rows: int, outputs: int, columns: int, kind: str) -> tuple[Callable[[], object], int]:
    """The products, and how many there are in one call."""
    number, block, tolerance = TYPES[kind]
    if columns % block:
        raise ValueError(f"{kind} needs rows of a multiple of {block} elements")
    g = ggml()
    row_bytes = g["ggml_row_size"](number, columns)
    count = copies_needed(outputs * row_bytes)
    overhead = g["ggml_tensor_overhead"]()
    stored = g["ggml_init"](InitParameters((count + 2) * overhead, None, True))
    weights = [g["ggml_new_tensor_2d"](stored, number, columns, outputs) for _ in range(count)]
    values = rows * (columns + count * outputs) * 4
    graph_bytes = g["ggml_graph_overhead_custom"](4 * count + 8, False)
    size = values + (2 * count + 8) * (overhead + 64) + graph_bytes
    context = g["ggml_init"](InitParameters(size, None, False))
    source = g["ggml_new_tensor_2d"](context, F32, columns, rows)
    products = [g["ggml_mul_mat"](context, weight, source) for weight in weights]
    buffer = g["ggml_backend_alloc_ctx_tensors_from_buft"](
        stored, buffer_type(g, weights[0], products[0])
    )
    if not buffer:
        raise MemoryError("ggml cannot allocate the weights")
    weight = np.random.default_rng(0).standard_normal((outputs, columns), dtype=np.float32)
    codes = np.empty(outputs * row_bytes, np.uint8)
    g["ggml_quantize_chunk"](
        number, weight.ctypes.data, codes.ctypes.data, 0, outputs, columns, None
    )
    for tensor in weights:
        g["ggml_backend_tensor_set"](tensor, codes.ctypes.data, 0, codes.nbytes)
    graph = g["ggml_new_graph_custom"](context, 4 * count + 8, False)
    for product in products:
        g["ggml_build_forward_expand"](graph, product)
    x = array_at(g["ggml_get_data"](source), (rows, columns))
    x[:] = np.random.default_rng(1).standard_normal((rows, columns), dtype=np.float32)
    backend = g["ggml_backend_cpu_init"]()
    g["ggml_backend_cpu_set_n_threads"](backend, torch.get_num_threads())

    def call() -> object:
        return g["ggml_backend_graph_compute"](backend, graph)

    if call() != 0:
        raise RuntimeError("ggml could not compute the graph")
    expected = x @ weight.T
    for product in (products[0], products[-1]):
        found = array_at(g["ggml_get_data"](product), (rows, outputs))
        error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
        if not error < tolerance:
            raise ValueError(f"{kind}: the relative error is {error}, expected {tolerance}")
    return call, count


def buffer_type(g: dict[str, Callable[..., Any]], weight: int, product: int) -> int:
    """The first of ggml's own layouts that this product works with, else the plain one."""
    registry = g["ggml_backend_cpu_reg"]()
    device = g["ggml_backend_reg_dev_get"](registry, 0)
    address = g["ggml_backend_reg_get_proc_address"](registry, b"ggml_backend_dev_get_extra_bufts")
    plain: int = g["ggml_backend_cpu_buffer_type"]()
    if not address:
        return plain
    extra = ctypes.CFUNCTYPE(ctypes.POINTER(POINTER), POINTER)(address)(device)
    place = ctypes.cast(weight + BUFFER_OF_TENSOR, ctypes.POINTER(POINTER))
    k = 0
    while extra and (kind := extra[k]):
        place[0] = g["ggml_backend_buft_alloc_buffer"](kind, 0)
        is_supported = g["ggml_backend_dev_supports_op"](device, product)
        place[0] = None
        if is_supported:
            return int(kind)
        k += 1
    return plain


def array_at(address: int, shape: tuple[int, int]) -> Any:
    """Floats in memory of ggml as an array."""
    floats = ctypes.cast(address, ctypes.POINTER(ctypes.c_float))
    return np.ctypeslib.as_array(floats, shape)
