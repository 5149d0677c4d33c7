"""What a PolyBench kernel consists of, and the list of all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from tilecast.compiler.frontend.kernel_language import BoundKernel, Kernel

DATASETS = ("MINI", "SMALL", "MEDIUM", "LARGE", "EXTRALARGE")
GROUPS = ("blas", "kernels", "solvers", "datamining", "stencils", "medley")

Data = dict[str, Any]


@dataclass(frozen=True)
class Benchmark:
    """A kernel with its data.

    `sizes` has one tuple of integer parameters per dataset. `initial` takes these parameters and
    gives the other arguments by name, as PolyBench fills them. `reference` takes all arguments and
    computes `outputs` (the live-out arrays) in place with NumPy, in its own way. `compared`
    gives what of them is well conditioned, where that is not all of it.
    """

    name: str
    kernel: Kernel
    sizes: tuple[tuple[int, ...], ...]
    initial: Callable[..., Data]
    reference: Callable[..., None]
    outputs: tuple[str, ...]
    compared: Callable[[Data], Data] | None = None

    def live_out(self, data: Data) -> Data:
        """What a result is compared by."""
        if self.compared is not None:
            return self.compared(data)
        return {name: data[name] for name in self.outputs}

    @property
    def size_names(self) -> list[str]:
        """The integer parameters."""
        return [p.name for p in self.kernel.parameters if p.is_size]

    def dataset(self, name: str) -> dict[str, int]:
        """The integer parameters of a dataset."""
        return dict(zip(self.size_names, self.sizes[DATASETS.index(name)], strict=True))

    def bind(self, dataset: str) -> BoundKernel:
        """The kernel at the sizes of `dataset`."""
        return self.kernel.bind(**self.dataset(dataset))

    def data(self, dataset: str) -> Data:
        """Fresh arguments, scalars as Python numbers or NumPy scalars; sizes are not among them."""
        return self.initial(*self.dataset(dataset).values())

    def arguments(self, dataset: str, data: Data) -> list[Any]:
        """All arguments in the order of the kernel's parameters."""
        values = {**self.dataset(dataset), **data}
        return [values[p.name] for p in self.kernel.parameters]


BENCHMARKS: dict[str, Benchmark] = {}


def benchmark(
    name: str,
    kernel: Kernel,
    sizes: Sequence[tuple[int, ...]],
    initial: Callable[..., Data],
    reference: Callable[..., None],
    outputs: Sequence[str],
    compared: Callable[[Data], Data] | None = None,
) -> None:
    """Add a benchmark; refuses a second one of the same name."""
    assert name not in BENCHMARKS, f"{name} is defined twice"
    assert len(sizes) == len(DATASETS), f"{name}: one tuple of sizes per dataset"
    BENCHMARKS[name] = Benchmark(
        name, kernel, tuple(sizes), initial, reference, tuple(outputs), compared
    )


def load_all() -> dict[str, Benchmark]:
    """All benchmarks."""
    for group in GROUPS:
        import_module(f".{group}", __package__)
    return BENCHMARKS


def grid(*extents: int) -> list[np.ndarray]:
    """Integer index arrays i, j, ... that broadcast to `extents`."""
    return list(np.ogrid[tuple(slice(0, n) for n in extents)])
