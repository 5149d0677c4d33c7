"""References take equal elements in the order of compiled programs, and the values torch gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tilecast.compiler.frontend.export import export_model
from tilecast.compiler.verify.definite import DefiniteInterpreter
from tilecast.compiler.verify.eager import DoubleInterpreter, run_program
from torch import Tensor, nn

TIES = torch.randint(0, 3, (4, 200), generator=torch.Generator().manual_seed(0)).float()
CASES: dict[str, Callable[[Tensor], Any]] = {
    "sort": lambda x: x.sort(),
    "sort_descending": lambda x: x.sort(0, descending=True),
    "topk": lambda x: x.topk(70),
    "topk_smallest": lambda x: x.topk(3, 0, largest=False),
    "kthvalue": lambda x: x.kthvalue(9, keepdim=True),
    "median": lambda x: x.median(1),
    "median_nan": lambda x: torch.where(x == 2, torch.nan, x).median(1),
}


class Wrapped(nn.Module):
    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


@pytest.mark.parametrize("kind", [DefiniteInterpreter, DoubleInterpreter])
@pytest.mark.parametrize("name", CASES)
def test_values_are_those_of_torch_and_positions_the_first(
    name: str, kind: type[DefiniteInterpreter]
) -> None:
    model = Wrapped(CASES[name])
    expected, _ = model(TIES)
    values, positions = run_program(export_model(model, (TIES,)), [TIES], kind)
    torch.testing.assert_close(values, expected.to(values.dtype), equal_nan=True)
    dim = 0 if values.shape[-1] == 200 and name != "sort" else 1
    at = positions if positions.ndim == 2 else positions.unsqueeze(1)
    source = torch.where(TIES == 2, torch.nan, TIES) if name == "median_nan" else TIES
    torch.testing.assert_close(
        source.gather(dim, at).reshape(values.shape).to(values.dtype), values, equal_nan=True
    )
    if name.startswith(("sort", "topk")):
        steps = values.diff(dim=dim) == 0
        assert (positions.diff(dim=dim)[steps] > 0).all()


def test_numbers_are_sorted_too() -> None:
    model = Wrapped(lambda x: x.sort())
    x = torch.tensor(2.5)
    values, positions = run_program(export_model(model, (x,)), [x], DefiniteInterpreter)
    assert (values.item(), positions.item()) == (2.5, 0)
