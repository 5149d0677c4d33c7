"""Ranges of activations that move into weights leave the function, and lower rounding errors."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tilecast.compiler.quantize import quantize
from tilecast.compiler.quantize.smoothing import smoothed
from tilecast.compiler.verify.rounded_activations import round_activations
from tilecast.dialects.errors import OptionError
from torch import Tensor, nn

K = 48


class Scaled(nn.Module):
    """A root mean square norm, written out."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(K) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * (x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6))


class Block(nn.Module):
    """Two products read one norm; a third reads a norm that something else reads too."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm, self.other = norm, nn.LayerNorm(K)
        self.a, self.b, self.c = nn.Linear(K, 20), nn.Linear(K, 20), nn.Linear(K, K)

    def forward(self, x: Tensor) -> Tensor:
        y, z = self.norm(x), self.other(x)
        return torch.relu(self.a(y)) * self.b(y) + (self.c(z) + z).sum(-1, keepdim=True)


def batches(count: int = 3) -> list[tuple[Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return [(torch.randn(5, K, generator=generator),) for _ in range(count)]


def block(make_norm: Callable[[], nn.Module]) -> Block:
    """A block of its own: its norm is scaled in place, so no two tests may share one."""
    torch.manual_seed(1)
    model = Block(make_norm()).eval()
    with torch.no_grad():
        model.norm.weight[:2] *= 60  # two columns decide every row's scale
    return model


NORMS: dict[str, Callable[[], nn.Module]] = {
    "layer": lambda: nn.LayerNorm(K),
    "no bias": lambda: nn.LayerNorm(K, bias=False),
    "rms": lambda: nn.RMSNorm(K),
    "written out": Scaled,
}


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("is_exported", [False, True])
def test_the_function_stays(norm: str, is_exported: bool) -> None:
    """In float64, where a lost factor can't hide among roundings."""
    model, data = block(NORMS[norm]).double(), [(x.double(),) for (x,) in batches()]
    source = torch.export.export(model, data[0]) if is_exported else model
    found, folds = smoothed(source, data)
    assert [fold.weights for fold in folds] == [("a.weight", "b.weight")]
    run = found.module() if is_exported else found
    torch.testing.assert_close(run(*data[1]), model(*data[1]), rtol=1e-10, atol=1e-10)


def test_rounded_activations_lose_less() -> None:
    model, data = block(NORMS["layer"]), batches()
    found, _ = smoothed(model, data)

    def error(model: Block) -> float:
        x = model.norm(data[1][0])
        return float((model.a(round_activations(x, "int8")) - model.a(x)).square().mean())

    assert error(found) < 0.1 * error(model)


def test_quantize_smooths_first() -> None:
    model, data = block(NORMS["layer"]), batches()
    found = quantize(model, "u8:g16", calibration=iter(data), smooth=0.5)
    assert not torch.equal(found.norm.weight, model.norm.weight)
    torch.testing.assert_close(found(*data[0]), model(*data[0]), rtol=0.05, atol=0.5)
    with pytest.raises(OptionError, match="smooth needs calibration"):
        quantize(model, "u8", smooth=0.5)
