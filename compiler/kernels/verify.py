"""Check a compiled kernel: against the Python function, or against its own loops as plain C.

How far a float may be off is measured: the original program also runs on inputs that are changed in
the last place, and what that does to an element is what rounding may do to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from xdsl.dialects.func import FuncOp

from ...costmodel.hardware import Machine
from ...dialects.poly import ScopOp
from ...dialects.reference.poly import run_scop
from ...passes.poly.extraction.extract_affine import extract_affine
from ..options import Options
from ..runtime.cache import Store
from ..runtime.toolchain import Toolchain, build_library
from ..verify.compare import compare
from ..verify.report import CheckResult, VerifyReport
from .compiled import CompiledKernel
from .inputs import copied, last_place_changed, random_values
from .instances import Instances, instances_of
from .lowering import LoweredKernel
from .program import KernelProgram

Array = npt.NDArray[Any]
Values = dict[str, Any]
Reference = Callable[[Values], None]

SMALL_SIZES = (7, 5, 9, 6, 11)
ODD_SIZES = (33, 29, 31, 27, 37)  # several vectors and a rest
CHANGES = 2  # of the inputs; one alone may by chance change little
PLAIN = Machine("c99", "scalar")
PYTHON_INSTANCES = 100_000  # a tenth of a second or two
INTERPRETER_INSTANCES = 10_000


def farthest(reference: Array, others: Sequence[Array]) -> Array:
    """Element by element, which of `others` is farthest from `reference`."""
    result = others[0]
    with np.errstate(all="ignore"):
        for other in others[1:]:
            is_farther = np.abs(other - reference) > np.abs(result - reference)
            result = np.where(is_farther, other, result)
    return result


@dataclass(frozen=True)
class KernelVerifier:
    """Runs the original program and the compiled one on the same random inputs."""

    program: KernelProgram
    toolchain: Toolchain
    store: Store

    def __call__(self, kernel: CompiledKernel, seed: int) -> VerifyReport:
        """One row per array that the kernel writes, at each choice of sizes."""
        results: list[CheckResult] = []
        for sizes in self.choices_of_sizes(kernel):
            rng = np.random.default_rng([seed, *sizes])
            results += self._check(kernel, sizes, rng)
        return VerifyReport(tuple(results), seed)

    def choices_of_sizes(self, kernel: CompiledKernel) -> list[tuple[int, ...]]:
        """The sizes to check at: one empty choice where all are bound."""
        count = sum(a.kind == "size" for a in kernel.artifact.arguments)
        if count == 0:
            return [()]
        choices = [tuple(sizes[k % 5] for k in range(count)) for sizes in (SMALL_SIZES, ODD_SIZES)]
        choices += [(n,) * count for n in (0, 1, 2)]
        return [sizes for sizes in choices if kernel.takes(sizes)]

    def _check(
        self, kernel: CompiledKernel, sizes: tuple[int, ...], rng: np.random.Generator
    ) -> list[CheckResult]:
        written = [a for a in kernel.artifact.arguments if a.is_written]
        instances = instances_of(self.scop, sizes)
        values = random_values(kernel, sizes, rng)
        expected = copied(values)
        nearby = [last_place_changed(values, rng) for _ in range(CHANGES)]
        reference = self._reference(instances, values, sizes)
        for one in (expected, *nearby):
            reference(one)
        found, alone = copied(values), copied(values)
        kernel(**found)
        kernel.run(1, **alone)
        length = instances.reduction_length
        rows = []
        for a in written:
            label = a.name + (f" {list(sizes)}" if sizes else "")
            changed = farthest(expected[a.name], [one[a.name] for one in nearby])
            versions = found[a.name], expected[a.name], changed
            rows.append(compare("kernel", label, *versions, length))
            if kernel.artifact.threads > 1:
                same = found[a.name].view(f"u{found[a.name].itemsize}")
                one = alone[a.name].view(same.dtype)
                rows.append(compare("kernel", f"{label} on 1 thread", same, one, one, length))
        return rows

    @cached_property
    def scop(self) -> ScopOp:
        """The program in original order."""
        func = self.program.module.clone().body.block.first_op
        assert isinstance(func, FuncOp)
        return extract_affine(func)

    def _reference(self, instances: Instances, values: Values, sizes: tuple[int, ...]) -> Reference:
        """What computes the right results in place: the most independent program that is fast
        enough."""
        if self.program.function is not None and instances.count <= PYTHON_INSTANCES:
            try:
                self._run_python(copied(values))
                return self._run_python
            except (ArithmeticError, ValueError):
                pass  # Python's math refuses what the kernel takes to NaN or infinity
        if instances.count <= INTERPRETER_INSTANCES:
            return lambda values: self._run_interpreter(values, sizes)
        return self._plain_kernel

    def _run_python(self, values: Values) -> None:
        assert self.program.function is not None
        with np.errstate(all="ignore"):
            self.program.function(*self.program.arguments(values))

    def _run_interpreter(self, values: Values, sizes: tuple[int, ...]) -> None:
        others = [name for name in self.program.names if name not in self.program.sizes]
        arrays = [np.asarray(values[name]) for name in others]
        run_scop(self.scop, arrays, parameters=sizes)

    def _plain_kernel(self, values: Values) -> None:
        self._plain(**values)

    @cached_property
    def _plain(self) -> CompiledKernel:
        """The original loops in plain C, in the order that the user wrote."""
        lowered = LoweredKernel.from_program(self.program, "", "original", PLAIN, 1)
        lowered.lower(None, None)
        lowered.emit()
        content = build_library(lowered.units(), self.toolchain, PLAIN, self.store)
        flags = self.toolchain.flags(PLAIN)
        artifact = lowered.artifact(Options(), 1, self.toolchain.identity, flags)
        with self.store.scratch_file(content) as path:
            return CompiledKernel(replace(artifact, library=path))
