"""Import rules against torch: tables of small cases, traced and imported many at a time.

A table is `{name: (function, inputs)}`. All its cases are one model, because tracing them at once
is ten times faster; every case is still a test of its own. Where a table is refused, each case is
imported alone, so that only the guilty ones fail.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import tilecast
from tilecast.compiler.frontend.export import export_model
from tilecast.compiler.frontend.program import import_program
from tilecast.dialects.reference.graph import evaluate
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_unflatten

Function = Callable[..., Any]
Table = Mapping[str, tuple[Function, tuple[Tensor, ...]]]
Results = dict[str, list[Any]]


class AllCases(nn.Module):
    """Every function of a table on its own inputs."""

    def __init__(self, table: Table) -> None:
        super().__init__()
        self.table = table

    def forward(self, inputs: dict[str, tuple[Tensor, ...]]) -> dict[str, Any]:
        return {name: function(*inputs[name]) for name, (function, _) in self.table.items()}


def results_of(table: Table) -> Results:
    """The outputs of each case, evaluated in float64."""
    inputs = {name: given for name, (_, given) in table.items()}
    model = import_program(export_model(AllCases(table), (inputs,)))
    arrays = [x.numpy() for x in tree_leaves(inputs)]
    assert model.input_positions == tuple(range(len(arrays)))
    results = evaluate(model.module, model.weights, arrays)
    values = {
        "result": lambda spec: results[spec.index],
        "input": lambda spec: arrays[spec.index],
        "constant": lambda spec: spec.constant,
    }
    found = tree_unflatten([values[spec.kind](spec) for spec in model.outputs], model.out_spec)
    return {name: tree_leaves(value) for name, value in found.items()}


class Importer:
    """Compares a case with torch; its table is imported at the first question."""

    def __init__(self) -> None:
        self.done: dict[int, Results | tilecast.TilecastError] = {}
        self.tables: list[Table] = []  # keeps their ids from being used again

    def results(self, table: Table, name: str) -> list[Any]:
        """The outputs of a case."""
        if id(table) not in self.done:
            self.tables.append(table)
            try:
                self.done[id(table)] = results_of(table)
            except tilecast.TilecastError as error:
                self.done[id(table)] = error
        done = self.done[id(table)]
        if isinstance(done, tilecast.TilecastError):
            results_of({name: table[name]})
            pytest.fail(f"works alone, but its table is refused: {done}")
        return done[name]

    def __call__(self, table: Table, name: str, rtol: float = 1e-12, atol: float = 1e-12) -> None:
        """Floats within the tolerances of torch in float64; all else is equal."""
        function, inputs = table[name]
        wide = [x.double() if x.is_floating_point() else x for x in inputs]
        for got, want in zip(self.results(table, name), tree_leaves(function(*wide)), strict=True):
            if not isinstance(want, Tensor):
                assert got == want
            elif want.is_floating_point():
                np.testing.assert_allclose(got, want.double().numpy(), rtol, atol)
            else:
                np.testing.assert_array_equal(got, want.numpy())
                assert got.dtype == want.numpy().dtype


@pytest.fixture(scope="session")
def equals_torch() -> Importer:
    """`equals_torch(table, name)` fails where the imported case differs from torch."""
    return Importer()
