"""Random arguments for a kernel, and the same ones changed in the last place."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..verify.poison import poison
from .compiled import CompiledKernel

Array = npt.NDArray[Any]
Values = dict[str, Any]


def random_values(
    kernel: CompiledKernel, sizes: tuple[int, ...], rng: np.random.Generator
) -> Values:
    """Arguments by name: positive floats, small integers; arrays that are only written hold poison.

    Square matrices are made diagonally dominant, so that solvers stay finite.
    """
    values: Values = {}
    given = iter(sizes)
    for a in kernel.artifact.arguments:
        dtype = np.dtype(a.dtype)
        if a.kind == "size":
            size = next(given)
            if a.taken_from is None:
                values[a.name] = size
        elif a.kind == "scalar":
            values[a.name] = random_array((), dtype, rng)[()]
        elif a.role == "out":
            values[a.name] = poison(kernel.shape(a, sizes), dtype)
        else:
            values[a.name] = random_array(kernel.shape(a, sizes), dtype, rng)
    return values


def random_array(shape: tuple[int, ...], dtype: np.dtype[Any], rng: np.random.Generator) -> Array:
    """Floats from 0.5 to 1.5, integers from 0 to 7."""
    if dtype.kind != "f":
        return rng.integers(0, 8, shape).astype(dtype)
    array = rng.uniform(0.5, 1.5, shape).astype(dtype)
    if array.ndim == 2 and array.shape[0] == array.shape[1]:
        array[np.diag_indices(array.shape[0])] += array.shape[0]
    return array


def last_place_changed(values: Values, rng: np.random.Generator) -> Values:
    """Values whose floats went up or down by one unit in the last place."""
    changed = copied(values)
    for name, value in changed.items():
        array = np.asarray(value)
        if array.dtype.kind != "f":
            continue
        direction = np.where(rng.random(array.shape) < 0.5, -np.inf, np.inf).astype(array.dtype)
        moved = np.nextafter(array, direction)
        changed[name] = np.array(moved) if isinstance(value, np.ndarray) else moved[()]
    return changed


def copied(values: Values) -> Values:
    """Values whose arrays may be written."""
    return {name: v.copy() if isinstance(v, np.ndarray) else v for name, v in values.items()}
