"""Arrays filled with values that no correct result has, so that a missing write shows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def poison(shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[np.generic]:
    """NaN with a payload for floats, 0xA5 bytes for everything else."""
    array: npt.NDArray[np.generic] = np.empty(shape, dtype)
    array.reshape(-1).view(np.uint8)[...] = 0xFF if array.dtype.kind == "f" else 0xA5
    return array
