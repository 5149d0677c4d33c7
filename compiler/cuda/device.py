"""Whether this machine has an NVIDIA GPU, by its driver; nothing else is loaded."""

from __future__ import annotations

import ctypes


def has_device() -> bool:
    """Whether the driver of CUDA is there and knows a device."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int(0)
    return (
        not driver.cuInit(0)
        and not driver.cuDeviceGetCount(ctypes.byref(count))
        and (count.value > 0)
    )
