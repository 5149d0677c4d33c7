"""Memory filled with values that no correct result has, so that a missing write shows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ...dialects.reference.number_types import is_float_type


def poison(shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[np.generic]:
    """NaN for floats, 0xA5 bytes for everything else."""
    array: npt.NDArray[np.generic] = np.empty(shape, dtype)
    array.reshape(-1).view(np.uint8)[...] = 0xFF if is_float_type(array.dtype) else 0xA5
    return array


def poison_tensor(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """As `poison`, for torch."""
    tensor = torch.empty(shape, dtype=dtype)
    tensor.reshape(-1).view(torch.uint8).fill_(0xFF if dtype.is_floating_point else 0xA5)
    return tensor
