"""Compiled operators against PyTorch: tables of small cases, compiled many at a time.

A table is `{name: (function, inputs)}`. All cases of a table are one model with a tuple of results,
so that one compiler run covers dozens of operators; every case is still a test of its own. Where
the table does not compile, each case is compiled alone, so that only the guilty ones fail.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tilecast
from tilecast.compiler.frontend.export import export_model
from tilecast.compiler.frontend.tensor_types import to_numpy
from tilecast.compiler.verify.compare import compare
from tilecast.compiler.verify.definite import DefiniteInterpreter
from tilecast.compiler.verify.eager import DoubleInterpreter, run_program
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_leaves

Case = tuple[Callable[..., Any], tuple[Tensor, ...]]
Table = Mapping[str, Case]


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One cache for the whole run; parallel workers share it, and so compile nothing twice."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TILECAST_CACHE_DIR", str(folder / "e2e-cache"))
        yield folder / "e2e-cache"


class AllCases(nn.Module):
    """Every function of a table on its share of the inputs; equal inputs are passed once."""

    def __init__(self, table: Table) -> None:
        super().__init__()
        self.functions = [function for function, _ in table.values()]
        self.inputs: list[Tensor] = []
        self.positions: list[list[int]] = []
        known: dict[int, int] = {}
        for _, tensors in table.values():
            for tensor in tensors:
                if id(tensor) not in known:
                    known[id(tensor)] = len(self.inputs)
                    self.inputs.append(tensor)
            self.positions.append([known[id(tensor)] for tensor in tensors])

    def forward(self, *inputs: Tensor) -> tuple[Any, ...]:
        return tuple(
            function(*(inputs[k] for k in positions))
            for function, positions in zip(self.functions, self.positions, strict=True)
        )


@dataclass(frozen=True)
class Results:
    """Flat outputs of one case: compiled, eager in float64, and eager as it is."""

    found: list[Any]
    wide: list[Any]
    native: list[Any]
    reduction_length: int

    def check(self, name: str, elementwise: bool, zero_signs: bool) -> None:
        """Every output within the project's bound; integers, NaN and infinities equal.

        The bound looks at the typical size of an output. Elementwise results have none, so there
        it is applied to elements of about the same size at a time.
        """
        assert len(self.found) == len(self.wide)
        for found, wide, native in zip(self.found, self.wide, self.native, strict=True):
            if not isinstance(native, Tensor):
                assert found == native
                continue
            assert found.shape == native.shape
            assert found.dtype == native.dtype
            arrays = [to_numpy(tensor) for tensor in (found, wide, native)]
            parts = by_magnitude(arrays[1]) if elementwise else [...]
            for part in parts:
                result = compare("model", name, *(a[part] for a in arrays), self.reduction_length)
                assert result.passed, (
                    f"{name}: found {result.found!r}, expected {result.expected!r}; "
                    f"{result.margin:.3g} times the allowed error"
                )
            if zero_signs and native.is_floating_point():
                check_zero_signs(to_numpy(found), to_numpy(native))


def by_magnitude(wide: np.ndarray[Any, Any]) -> list[Any]:
    """Masks that part `wide` into elements within a factor of 1000, and the special ones."""
    with np.errstate(divide="ignore", invalid="ignore"):
        exponents = np.floor(np.log10(np.abs(wide.astype(np.float64))) / 3)
    special = ~np.isfinite(exponents)
    return [special, *(exponents == e for e in np.unique(exponents[~special]))]


def check_zero_signs(found: np.ndarray[Any, Any], native: np.ndarray[Any, Any]) -> None:
    """Where eager says zero, the compiled result is the zero of the same sign."""
    zero = native == 0
    np.testing.assert_array_equal(np.signbit(found[zero]), np.signbit(native[zero]))


def run_table(table: Table, target: str) -> dict[str, Results]:
    """Compile the cases together and run them, compiled and eager."""
    model = AllCases(table)
    inputs = tuple(model.inputs)
    program = export_model(model, inputs)
    compiled = tilecast.compile(program, inputs, verify=False, target=target, threads=2)
    outputs = compiled(*inputs)
    flat = [run_program(program, inputs, kind) for kind in (DoubleInterpreter, DefiniteInterpreter)]
    _, spec = tree_flatten(model(*inputs))
    counts = [child.num_leaves for child in spec.children()]
    results, start = {}, 0
    for name, output, count in zip(table, outputs, counts, strict=True):
        wide, native = (side[start : start + count] for side in flat)
        length = compiled.artifact.reduction_length
        results[name] = Results(tree_leaves(output), wide, native, length)
        start += count
    return results


class Checker:
    """Looks a case up in the results of its table, which is compiled at the first question."""

    def __init__(self) -> None:
        self.done: dict[tuple[int, str], dict[str, Results] | tilecast.TilecastError] = {}
        self.tables: list[Table] = []  # keeps their ids from being used again

    def __call__(
        self,
        table: Table,
        name: str,
        target: str = "native",
        elementwise: bool = False,
        zero_signs: bool = False,
    ) -> None:
        key = (id(table), target)
        if key not in self.done:
            self.tables.append(table)
            try:
                self.done[key] = run_table(table, target)
            except tilecast.TilecastError as error:
                if "which this machine lacks" in str(error):
                    pytest.skip(str(error))
                self.done[key] = error
        results = self.done[key]
        if isinstance(results, tilecast.TilecastError):
            alone = run_table({name: table[name]}, target)
            alone[name].check(name, elementwise, zero_signs)
            pytest.fail(f"works alone, but its table does not compile: {results}")
        results[name].check(name, elementwise, zero_signs)


@pytest.fixture(scope="session")
def checker(cache_folder: Path) -> Checker:
    """`checker(table, name, target)` fails where the compiled case differs from PyTorch."""
    return Checker()


OTHER_TARGETS = [pytest.param(t, marks=pytest.mark.slow) for t in ("x86-64-v3", "c99")]


@pytest.fixture(params=["native", *OTHER_TARGETS])
def check(request: pytest.FixtureRequest, checker: Checker) -> Callable[..., None]:
    """`check(table, name)` for every target, those that are not native among the slow tests."""
    return functools.partial(checker, target=request.param)
