"""Cycles per element of mathlib and its peers, in turns on arrays that stay in the first cache."""

from __future__ import annotations

import ctypes
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from tilecast.codegen.mathlib import FUNCTIONS
from tilecast.compiler.target import native_machine

from .peers import peer_address
from .unit import LEVELS, Variant, build_library, build_loops

PEERS = ("libmvec", "sleef_u10", "sleef_u35")
COUNT = 2048
REPEATS, ROUNDS = 12, 31
Array = npt.NDArray[Any]
PEER_NAMES = {"powf": "pow"}
RANGES: dict[str, tuple[float, float]] = {
    "acos": (-1.0, 1.0),
    "asin": (-1.0, 1.0),
    "exp": (-20.0, 20.0),
    "exp2": (-30.0, 30.0),
    "log": (0.001, 100.0),
    "log10": (0.001, 100.0),
    "log1p": (-0.9, 100.0),
    "log2": (0.001, 100.0),
    "powf": (0.01, 10.0),
}
"""Where inputs are drawn from; [-8, 8] unless listed."""

CLOCK = r"""
#include <immintrin.h>
#include <stdint.h>
#include <x86intrin.h>

/* Ticks of a chain of `count` additions, one per core cycle. */
uint64_t chain_ticks(int64_t count)
{
    const uint64_t start = __rdtsc();
    int64_t a = 1;
    for (int64_t i = 0; i < count; i += 8) { /* a short loop may take two cycles per turn */
        __asm__ volatile("add $1, %0; add $1, %0; add $1, %0; add $1, %0;"
                         "add $1, %0; add $1, %0; add $1, %0; add $1, %0" : "+r"(a));
    }
    return __rdtsc() - start;
}

#define TIMER(NAME, ...) \
    uint64_t NAME(void *f, int64_t repeats, const void *x, const void *y, void *out, int64_t n) \
    { \
        const uint64_t start = __rdtsc(); \
        for (int64_t k = 0; k < repeats; ++k) { \
            __VA_ARGS__; \
        } \
        return __rdtsc() - start; \
    }

TIMER(loop_1, ((void (*)(const void *, void *, int64_t))f)(x, out, n))
TIMER(loop_2, ((void (*)(const void *, const void *, void *, int64_t))f)(x, y, out, n))

#define PEER(NAME, VECTOR, SCALAR, LANES, LOAD, STORE, TYPE, ARGUMENTS) \
    TIMER(NAME, for (int64_t i = 0; i < n; i += LANES) { \
        const SCALAR *a = (const SCALAR *)x + i, *b = (const SCALAR *)y + i; \
        (void)b; \
        STORE((SCALAR *)out + i, ((VECTOR (*)TYPE)f)ARGUMENTS); })
#define PEERS(ELEMENT, VECTOR, SCALAR, LANES, LOAD, STORE) \
    PEER(peer_##ELEMENT##_1, VECTOR, SCALAR, LANES, LOAD, STORE, (VECTOR), (LOAD(a))) \
    PEER(peer_##ELEMENT##_2, VECTOR, SCALAR, LANES, LOAD, STORE, (VECTOR, VECTOR), \
         (LOAD(a), LOAD(b)))

#ifdef __AVX512F__
PEERS(f32, __m512, float, 16, _mm512_loadu_ps, _mm512_storeu_ps)
PEERS(f64, __m512d, double, 8, _mm512_loadu_pd, _mm512_storeu_pd)
#else
PEERS(f32, __m256, float, 8, _mm256_loadu_ps, _mm256_storeu_ps)
PEERS(f64, __m256d, double, 4, _mm256_loadu_pd, _mm256_storeu_pd)
#endif
"""


@cache
def isa() -> str:
    """The widest vectors of this machine; peers are measured on the same."""
    return native_machine().isa


@cache
def clock() -> ctypes.CDLL:
    """The timers."""
    library = build_library(CLOCK, [f"-march={LEVELS[isa()]}"])
    for name in ("chain_ticks", "loop_1", "loop_2"):
        getattr(library, name).restype = ctypes.c_uint64
    for element in ("f32", "f64"):
        for arity in (1, 2):
            getattr(library, f"peer_{element}_{arity}").restype = ctypes.c_uint64
    return library


def cycles_per_tick() -> float:
    """Core cycles in one tick of the time stamp counter, at the speed of this moment."""
    count = 20_000
    best = min(clock().chain_ticks(ctypes.c_int64(count)) for _ in range(50))
    return float(count / best)


@dataclass(frozen=True)
class Contender:
    """Something that fills an array: timer, function pointer."""

    timer: str
    address: int


def inputs(name: str, element: str) -> tuple[Array, Array]:
    """Random arguments where the function is ordinary."""
    low, high = RANGES.get(name, (-8.0, 8.0))
    generator = np.random.default_rng(7)
    dtype = np.float32 if element == "f32" else np.float64
    x = generator.uniform(low, high, COUNT).astype(dtype)
    return x, generator.uniform(-4.0, 4.0, COUNT).astype(dtype)


def contenders(name: str, element: str, loops: ctypes.CDLL) -> dict[str, Contender]:
    """mathlib in both accuracies and every peer that has the function."""
    arity = FUNCTIONS[name].arity
    found = {}
    for accuracy in (1, 4):
        pointer = getattr(loops, f"{name}_{element}_{accuracy}")
        address = ctypes.cast(pointer, ctypes.c_void_p).value
        assert address is not None
        found[f"mathlib_{accuracy}ulp"] = Contender(f"loop_{arity}", address)
    for peer in PEERS:
        other = peer_address(isa(), peer, PEER_NAMES.get(name, name), element, arity)
        if other is not None:
            found[peer] = Contender(f"peer_{element}_{arity}", other)
    return found


def build(element: str) -> ctypes.CDLL:
    """All functions in both accuracies."""
    variants = {
        f"{name}_{element}_{accuracy}": Variant(name, element, accuracy, isa())
        for name, function in FUNCTIONS.items()
        if element in function.elements
        for accuracy in (1, 4)
    }
    return build_loops(isa(), variants)  # type: ignore[arg-type]


def measure(name: str, element: str, loops: ctypes.CDLL) -> dict[str, float]:
    """Median cycles per element of every contender."""
    x, y = inputs(name, element)
    out = np.empty_like(x)
    everyone = contenders(name, element, loops)
    ticks: dict[str, list[float]] = {who: [] for who in everyone}
    for _ in range(ROUNDS):
        for who, contender in everyone.items():
            timer: Callable[..., int] = getattr(clock(), contender.timer)
            pointers = [ctypes.c_void_p(a.ctypes.data) for a in (x, y, out)]
            spent = timer(
                ctypes.c_void_p(contender.address),
                ctypes.c_int64(REPEATS),
                *pointers,
                ctypes.c_int64(COUNT),
            )
            ticks[who].append(spent / REPEATS / COUNT)
    scale = cycles_per_tick()
    return {who: round(statistics.median(t) * scale, 3) for who, t in ticks.items()}


def ratio(cycles: dict[str, float], accuracy: int, peers: Sequence[str]) -> float | None:
    """How many times faster mathlib is than the fastest of `peers` that has the function."""
    found = [cycles[peer] for peer in peers if peer in cycles]
    return round(min(found) / cycles[f"mathlib_{accuracy}ulp"], 3) if found else None


def geometric_mean(ratios: list[float]) -> float:
    """Of positive numbers."""
    return math.exp(statistics.fmean(math.log(r) for r in ratios))
