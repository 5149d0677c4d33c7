"""C text as CUDA C++ text."""

from __future__ import annotations

import re


def as_cuda(text: str) -> str:
    """C text as CUDA C++: the spelling of restrict, helpers on the device."""
    text = re.sub(r"\brestrict\b", "__restrict__", text)
    return re.sub(r"^static inline ", "static __device__ inline ", text, flags=re.M)
