"""Conditions of the export on sizes: they narrow the bounds, or the model is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tilecast.compiler.frontend.size_conditions import narrowed_ranges
from tilecast.dialects.errors import OptionError
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram


class Model(nn.Module):
    """A function of one tensor."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def exported(function: Callable[[Tensor], Tensor], extents: tuple[int, ...]) -> ExportedProgram:
    dims = {d: Dim.AUTO(min=2, max=40) for d in range(len(extents))}
    model = Model(function)
    return torch.export.export(model, (torch.randn(extents),), dynamic_shapes={"x": dims})


def test_a_slice_that_has_to_fit_narrows_the_size() -> None:
    program = exported(lambda x: torch.cat([x, x])[:9] + 1, (16,))
    assert list(narrowed_ranges(program).values()) == [(5, 40)]


def test_without_conditions_nothing_is_narrowed() -> None:
    assert narrowed_ranges(exported(lambda x: x + 1, (16,))) == {}


def test_a_condition_that_leaves_no_range_is_refused() -> None:
    program = exported(lambda x: x.view(-1, 4).sum(1), (16,))
    with pytest.raises(OptionError, match=r"exported for sizes with .*x\.shape\[0\]"):
        narrowed_ranges(program)


def test_a_condition_on_two_sizes_is_refused_where_it_may_not_hold() -> None:
    program = exported(lambda x: x.flatten()[:50] + 1, (16, 16))
    with pytest.raises(OptionError, match=r"x\.shape\[\d\]\*x\.shape\[\d\] >= 50"):
        narrowed_ranges(program)
