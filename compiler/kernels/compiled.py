"""`CompiledKernel`: call it like the Python function, on NumPy arrays, in place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...dialects.errors import InvalidInputError
from ..runtime.cache import aligned_bytes
from ..timing import CompileTiming
from ..verify.report import VerifyReport
from .arguments import (
    Argument,
    check_no_overlap,
    checked_array,
    checked_extent,
    checked_scalar,
    checked_size,
    named_values,
)
from .artifact import KernelArtifact
from .library import KernelLibrary
from .size_expressions import parse_map

if TYPE_CHECKING:
    from ..explain.kernel_report import KernelReport

Array = npt.NDArray[Any]
Verifier = Callable[["CompiledKernel", int], VerifyReport]


class CompiledKernel:
    """A kernel compiled to C. It takes what the Python function takes, less the bound sizes.

    Arrays are updated in place; their type, shape and layout must be exactly what was compiled.
    """

    def __init__(self, artifact: KernelArtifact, verifier: Verifier | None = None) -> None:
        assert artifact.library is not None, "the artifact has not been built"
        self.artifact = artifact
        self._library = KernelLibrary(artifact.library, artifact.name)
        self._verifier = verifier
        self._given = [a for a in artifact.arguments if a.taken_from is None]
        self._maps = {a.extents: parse_map(a.extents) for a in self._all() if a.extents}
        self._scratch: dict[tuple[int, ...], list[list[Array]]] = {}

    @property
    def timing(self) -> CompileTiming:
        """Where the time of the compilation went; of the earlier one, if this was in the cache."""
        return CompileTiming(self.artifact.seconds, 1, 1, self.artifact.is_stored)

    def _all(self) -> tuple[Argument, ...]:
        return (*self.artifact.arguments, *self.artifact.scratch)

    def __call__(self, *values: Any, **keywords: Any) -> None:
        """Run on `values` in place; InvalidInputError where one does not fit."""
        self.run(self.artifact.threads, *values, **keywords)

    def run(self, threads: int, *values: Any, **keywords: Any) -> None:
        """As a call, with another number of threads; results do not depend on it."""
        given = named_values(self.artifact.name, self._given, values, keywords)
        sizes = self._sizes(dict(zip((a.name for a in self._given), given, strict=True)))
        arrays, stored = [], []
        for a, value in zip(self._given, given, strict=True):
            if a.kind == "size":
                continue
            stored.append(a)
            if a.kind == "scalar":
                arrays.append(checked_scalar(a, value))
            else:
                arrays.append(checked_array(a, value, self.shape(a, sizes)))
        check_no_overlap(stored, arrays)
        if sizes not in self._scratch:  # of other sizes nothing is kept
            self._scratch = {sizes: []}
        free = self._scratch[sizes]
        scratch = free.pop() if free else [self._allocate(a, sizes) for a in self.artifact.scratch]
        try:
            addresses = [array.ctypes.data for array in (*arrays, *scratch)]
            self._library.run(sizes, addresses, threads)
        finally:
            free.append(scratch)

    def _sizes(self, values: Mapping[str, Any]) -> tuple[int, ...]:
        """The sizes of a call; InvalidInputError where the kernel is not defined for them."""
        sizes = []
        for a in self.artifact.arguments:
            if a.kind != "size":
                continue
            if a.taken_from is None:
                sizes.append(checked_size(a, values[a.name]))
            else:
                array, dim = a.taken_from
                sizes.append(checked_extent(array, values[array], dim))
        if not self.takes(sizes):
            raise InvalidInputError(
                f"{self.artifact.name}: expected {self.artifact.conditions.text}, found "
                + ", ".join(f"{name} = {n}" for name, n in zip(self.size_names, sizes, strict=True))
            )
        return tuple(sizes)

    @property
    def size_names(self) -> list[str]:
        """The sizes that are not bound, in the order of the C function."""
        return [a.name for a in self.artifact.arguments if a.kind == "size"]

    def takes(self, sizes: Sequence[int]) -> bool:
        """Whether the kernel is defined for these sizes."""
        return self.artifact.conditions.hold(sizes)

    def shape(self, argument: Argument, sizes: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of `argument` for these sizes."""
        if argument.extents is None:
            return tuple(int(extent) for extent in argument.shape)
        return tuple(self._maps[argument.extents].eval([], sizes))

    def _allocate(self, argument: Argument, sizes: tuple[int, ...]) -> Array:
        shape = self.shape(argument, sizes)
        dtype = np.dtype(argument.dtype)
        count = int(np.prod(np.array(shape, np.int64)))
        return aligned_bytes(count * dtype.itemsize).view(dtype)

    @property
    def name(self) -> str:
        """The name of the C function."""
        return self.artifact.name

    @property
    def sources(self) -> Mapping[str, str]:
        """The C files, by name."""
        return self.artifact.sources

    @property
    def schedule(self) -> str:
        """The steps that were applied, one a line, as `compile(..., schedule=)` takes them."""
        return self.artifact.schedule

    @property
    def report(self) -> VerifyReport | None:
        """The report of the verification after building."""
        return self.artifact.report

    def explain(self) -> KernelReport:
        """Statements, dependences, schedule and C, to print or as data."""
        from ..explain.explain import explain_kernel  # brings in isl, which calls do not need

        return explain_kernel(self.artifact.ir, self.artifact.sources)

    def verify(self, seed: int = 0) -> VerifyReport:
        """Compare with the Python function on fresh random inputs; VerifyFailure on a mismatch."""
        assert self._verifier is not None, "a kernel is made with its verifier"
        report = self._verifier(self, seed)
        report.check()
        return report

    def __repr__(self) -> str:
        arguments = ", ".join(map(str, self.artifact.arguments))
        return f"CompiledKernel({self.artifact.name}({arguments}))"
