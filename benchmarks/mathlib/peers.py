"""The functions tilecast is compared with: glibc's libmvec, and SLEEF as it is inside of torch."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path

# ISA letter of the vector function ABI, and lanes of f32.
VECTORS = {"avx512": ("e", 16), "avx2": ("d", 8)}


@cache
def _libraries() -> tuple[ctypes.CDLL | None, ctypes.CDLL]:
    import torch

    torch_library = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"
    try:
        vector_math = ctypes.CDLL("libmvec.so.1")
    except OSError:
        vector_math = None
    return vector_math, ctypes.CDLL(str(torch_library))


def lanes_of(isa: str, element: str) -> int:
    """Lanes of a full register."""
    lanes = VECTORS[isa][1]
    return lanes if element == "f32" else lanes // 2


def libmvec_symbol(isa: str, name: str, element: str, arity: int = 1) -> str:
    """The name of a function of libmvec on full registers (vector function ABI)."""
    ending = "f" if element == "f32" else ""
    return f"_ZGV{VECTORS[isa][0]}N{lanes_of(isa, element)}{'v' * arity}_{name}{ending}"


def peer_address(isa: str, peer: str, name: str, element: str, arity: int) -> int | None:
    """The entry point of a function on full registers of `isa`, None where the peer has none.

    `peer` is "libmvec" (bound 4 ULP), "sleef_u10" (1 ULP, what torch calls) or "sleef_u35".
    """
    vector_math, torch_library = _libraries()
    if peer == "libmvec":
        library, symbol = vector_math, libmvec_symbol(isa, name, element, arity)
    else:
        kind = "f" if element == "f32" else "d"
        ending = f"{kind}{lanes_of(isa, element)}_{peer.removeprefix('sleef_')}"
        library, symbol = torch_library, f"Sleef_{name}{ending}"
    if library is None:
        return None
    try:
        return ctypes.cast(getattr(library, symbol), ctypes.c_void_p).value
    except AttributeError:
        return None
