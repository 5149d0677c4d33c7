"""Models within a memory budget equal PyTorch, on plain and on vector code."""

from __future__ import annotations

import pytest
import tilecast
import torch
from tilecast.dialects.errors import MemoryBudgetError
from torch import Tensor, nn

from examples.mobilenet_v2 import InvertedResidual, convolution


class Classifier(nn.Module):
    """A stem, two inverted residual blocks, pooling and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *convolution(3, 8, 3, 2, 1),
            InvertedResidual(8, 8, 1, 4),
            InvertedResidual(8, 12, 2, 4),
        )
        self.classifier = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean((2, 3)))


@pytest.mark.parametrize("target", ["c99", pytest.param("native", marks=pytest.mark.slow)])
def test_a_third_of_the_memory(target: str) -> None:
    torch.manual_seed(0)
    model, x = Classifier().eval(), torch.randn(1, 3, 36, 28)
    plain = tilecast.compile(model, (x,), target=target, max_memory="1GB", verify=False)
    assert plain.artifact.memory is not None
    assert plain.artifact.memory["stages"] == ()
    assert plain.artifact.memory["plain_bytes"] == plain.artifact.arena_bytes
    budget = plain.artifact.arena_bytes // 3
    small = tilecast.compile(model, (x,), target=target, max_memory=budget)  # verifies
    assert small.artifact.arena_bytes <= budget
    assert small.artifact.memory is not None
    assert small.artifact.memory["plain_bytes"] == plain.artifact.arena_bytes
    assert small.artifact.memory["extra"] < 0.25
    torch.testing.assert_close(small(x), model(x), rtol=1e-4, atol=1e-5)


def test_what_cannot_be_cut_is_refused() -> None:
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.Linear(64, 8)).eval()
    with pytest.raises(MemoryBudgetError, match="at least 512 bytes"):
        tilecast.compile(model, (torch.randn(1, 64),), max_memory=256)


class TwiceRead(nn.Module):
    """A table of the input that the first and the last product read."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Parameter(torch.randn(64, 96) / 8)
        self.narrow = nn.Parameter(torch.randn(96, 64) / 10)

    def forward(self, x: Tensor) -> Tensor:
        table = torch.tanh(x[:, :, None] * x[:, None, :])
        return ((table @ self.wide).relu() @ self.narrow) @ table


def test_a_table_is_computed_again() -> None:
    model, x = TwiceRead().eval(), torch.randn(1, 64)
    compiled = tilecast.compile(model, (x,), target="c99", max_memory=45000)  # verifies
    memory = compiled.artifact.memory
    assert memory is not None
    assert (memory["plain_bytes"], compiled.artifact.arena_bytes) == (57344, 40960)
    assert [again["bytes"] for again in memory["again"]] == [16384]
    assert 0 < memory["extra"] < 0.02
    torch.testing.assert_close(compiled(x), model(x), rtol=1e-4, atol=1e-5)
