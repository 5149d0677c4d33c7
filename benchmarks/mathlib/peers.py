"""The functions tilecast is compared with: glibc's libmvec, and SLEEF as it is inside of torch."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path

LANES = {"f32": 16, "f64": 8}


@cache
def _libraries() -> tuple[ctypes.CDLL | None, ctypes.CDLL]:
    import torch

    torch_library = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"
    try:
        vector_math = ctypes.CDLL("libmvec.so.1")
    except OSError:
        vector_math = None
    return vector_math, ctypes.CDLL(str(torch_library))


def peer_address(peer: str, name: str, element: str, arity: int) -> int | None:
    """The entry point of an AVX-512 function, None where the peer has none.

    `peer` is "libmvec" (bound 4 ULP), "sleef_u10" (1 ULP, what torch calls) or "sleef_u35".
    """
    vector_math, torch_library = _libraries()
    suffix = "f" if element == "f32" else ""
    if peer == "libmvec":
        library, symbol = vector_math, f"_ZGVeN{LANES[element]}{'v' * arity}_{name}{suffix}"
    else:
        width = "f16" if element == "f32" else "d8"
        library, symbol = torch_library, f"Sleef_{name}{width}_{peer.removeprefix('sleef_')}"
    if library is None:
        return None
    try:
        return ctypes.cast(getattr(library, symbol), ctypes.c_void_p).value
    except AttributeError:
        return None
