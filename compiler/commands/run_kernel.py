"""`tilecast run` on a kernel: arguments from a file or at random, facts of what it wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...dialects.errors import InvalidInputError, PackageError
from ..kernels.compiled import CompiledKernel
from ..kernels.inputs import random_values

DEFAULT_SIZE = 64  # of a size that is not bound


def random_arguments(kernel: CompiledKernel) -> dict[str, Any]:
    """Random arguments; sizes that are not bound are all 64."""
    sizes = tuple(DEFAULT_SIZE for a in kernel.artifact.arguments if a.kind == "size")
    return random_values(kernel, sizes, np.random.default_rng(0))


def run_kernel(
    kernel: CompiledKernel, inputs: Path | None, output: Path | None
) -> list[dict[str, Any]]:
    """Run once on `inputs` (safetensors by argument name, else random); facts of what was written.

    `output` gets the arrays that the kernel wrote.
    """
    arguments = read_arguments(kernel, inputs) if inputs is not None else random_arguments(kernel)
    kernel(**arguments)
    written = {a.name: arguments[a.name] for a in kernel.artifact.arguments if a.is_written}
    if output is not None:
        write_arrays(output, written)
    return [array_facts(name, array) for name, array in written.items()]


def read_arguments(kernel: CompiledKernel, path: Path) -> dict[str, Any]:
    """The arguments that a safetensors file holds; arrays of one element serve as numbers."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        arrays = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InvalidInputError(f"{path}: cannot be read as safetensors: {error}") from error
    given = [a for a in kernel.artifact.arguments if a.taken_from is None]
    wanted = [a.name for a in given]
    if sorted(arrays) != sorted(wanted):
        raise InvalidInputError(
            f"{path}: expected arrays {', '.join(wanted)}, found {', '.join(sorted(arrays))}"
        )
    return {
        a.name: arrays[a.name].copy() if a.kind == "array" else number_of(a.name, arrays[a.name])
        for a in given
    }


def number_of(name: str, array: npt.NDArray[Any]) -> Any:
    """The one element of `array`."""
    if array.size != 1:
        raise InvalidInputError(f"{name}: expected a number, found shape {list(array.shape)}")
    return array.reshape(-1)[0]


def write_arrays(path: Path, arrays: dict[str, npt.NDArray[Any]]) -> None:
    """Write a safetensors file."""
    from safetensors.numpy import save_file

    try:
        save_file(arrays, path)
    except OSError as error:
        raise PackageError(f"cannot write {path}: {error.strerror or error}") from error


def array_facts(name: str, array: npt.NDArray[Any]) -> dict[str, Any]:
    """Name, type, shape and range of an array."""
    values = array.astype(np.float64) if array.size else np.zeros(1)
    return {
        "name": name,
        "dtype": str(array.dtype),
        "shape": "x".join(map(str, array.shape)) or "scalar",
        "min": f"{values.min():.6g}",
        "max": f"{values.max():.6g}",
        "mean": f"{values.mean():.6g}",
    }
