"""CPU features that a program may need: how C code asks for them, and the flag that allows them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ...dialects.errors import PackageError

Register = Literal["a", "b", "c", "d"]


@dataclass(frozen=True)
class CpuFeature:
    """A bit that CPUID answers (Intel SDM vol. 2A, CPUID; AMD APM vol. 3, appendix E).

    `state` are the bits of XCR0 without which the operating system does not keep the registers;
    `flag` is what lets gcc and clang use it.
    """

    leaf: int
    subleaf: int
    register: Register
    bit: int
    state: int
    flag: str


SSE, AVX, AVX512, AMX = 0x0, 0x6, 0xE6, 0x60000
CPU_FEATURES = {
    "sse3": CpuFeature(1, 0, "c", 0, SSE, "-msse3"),
    "ssse3": CpuFeature(1, 0, "c", 9, SSE, "-mssse3"),
    "cx16": CpuFeature(1, 0, "c", 13, SSE, "-mcx16"),
    "sse4_1": CpuFeature(1, 0, "c", 19, SSE, "-msse4.1"),
    "sse4_2": CpuFeature(1, 0, "c", 20, SSE, "-msse4.2"),
    "movbe": CpuFeature(1, 0, "c", 22, SSE, "-mmovbe"),
    "popcnt": CpuFeature(1, 0, "c", 23, SSE, "-mpopcnt"),
    "abm": CpuFeature(0x80000001, 0, "c", 5, SSE, "-mlzcnt"),
    "bmi1": CpuFeature(7, 0, "b", 3, SSE, "-mbmi"),
    "bmi2": CpuFeature(7, 0, "b", 8, SSE, "-mbmi2"),
    "avx": CpuFeature(1, 0, "c", 28, AVX, "-mavx"),
    "fma": CpuFeature(1, 0, "c", 12, AVX, "-mfma"),
    "f16c": CpuFeature(1, 0, "c", 29, AVX, "-mf16c"),
    "avx2": CpuFeature(7, 0, "b", 5, AVX, "-mavx2"),
    "avx512f": CpuFeature(7, 0, "b", 16, AVX512, "-mavx512f"),
    "avx512dq": CpuFeature(7, 0, "b", 17, AVX512, "-mavx512dq"),
    "avx512cd": CpuFeature(7, 0, "b", 28, AVX512, "-mavx512cd"),
    "avx512bw": CpuFeature(7, 0, "b", 30, AVX512, "-mavx512bw"),
    "avx512vl": CpuFeature(7, 0, "b", 31, AVX512, "-mavx512vl"),
    "avx512_vbmi": CpuFeature(7, 0, "c", 1, AVX512, "-mavx512vbmi"),
    "avx512_vbmi2": CpuFeature(7, 0, "c", 6, AVX512, "-mavx512vbmi2"),
    "avx512_vnni": CpuFeature(7, 0, "c", 11, AVX512, "-mavx512vnni"),
    "avx512_bitalg": CpuFeature(7, 0, "c", 12, AVX512, "-mavx512bitalg"),
    "avx512_vpopcntdq": CpuFeature(7, 0, "c", 14, AVX512, "-mavx512vpopcntdq"),
    "avx512_bf16": CpuFeature(7, 1, "a", 5, AVX512, "-mavx512bf16"),
    "avx512_fp16": CpuFeature(7, 0, "d", 23, AVX512, "-mavx512fp16"),
    "amx_bf16": CpuFeature(7, 0, "d", 22, AMX, "-mamx-bf16"),
    "amx_tile": CpuFeature(7, 0, "d", 24, AMX, "-mamx-tile"),
    "amx_int8": CpuFeature(7, 0, "d", 25, AMX, "-mamx-int8"),
}


def known_features(features: Iterable[str]) -> tuple[str, ...]:
    """Those of `features` that code can use and CPUID answers for, in the order of the table."""
    return tuple(name for name in CPU_FEATURES if name in set(features))


def check_features_are_known(features: Iterable[str]) -> None:
    """PackageError for a feature that a package could not ask the CPU for."""
    if unknown := sorted(set(features) - set(CPU_FEATURES)):
        raise PackageError(
            f"CPU feature {', '.join(unknown)} is unknown; known: {', '.join(CPU_FEATURES)}"
        )


def feature_flags(features: Iterable[str]) -> tuple[str, ...]:
    """Compiler flags that allow just these features."""
    return tuple(CPU_FEATURES[name].flag for name in features)


def feature_rows(features: Iterable[str]) -> str:
    """Rows {leaf, subleaf, register, bit, state} of the C table that `cpu_has` walks."""
    return "".join(
        f"    {{0x{f.leaf:x}u, {f.subleaf}u, {'abcd'.index(f.register)}, {f.bit}, 0x{f.state:x}u}},"
        f" /* {name} */\n"
        for name, f in ((name, CPU_FEATURES[name]) for name in features)
    )
