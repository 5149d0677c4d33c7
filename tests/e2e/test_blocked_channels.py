"""Networks of convolutions, whose activations are blocked by channels, equal PyTorch."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import tilecast
import torch
from torch import Tensor, nn

Network = Callable[[], nn.Module]


class Residual(nn.Module):
    """A projection to odd channels, a depthwise convolution, a shortcut, and a gate."""

    def __init__(self, inputs: int, channels: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.expand = nn.Conv2d(inputs, channels, 1)
        self.depthwise = nn.Conv2d(
            channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False
        )
        self.norm = nn.BatchNorm2d(channels)
        self.gate = nn.Conv2d(channels, channels, 1)
        self.project = nn.Conv2d(channels, channels, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.relu6(self.norm(self.depthwise(nn.functional.hardswish(self.expand(x)))))
        x = x * self.gate(x.mean((2, 3), keepdim=True)).sigmoid()
        return x + self.project(x)


class Branches(nn.Module):
    """Pools and convolutions of one value that pad it differently, joined again."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 5, 2, 3)
        self.wide = nn.Conv2d(16, 32, 3, 1, 2, dilation=2)
        self.head = nn.Conv2d(64, 7, (1, 3), (2, 1), (0, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.stem(x).relu() - 0.5
        most = nn.functional.max_pool2d(x, 3, 1, 1)
        mean = nn.functional.avg_pool2d(x, 3, 1, 1)
        joined = torch.cat([most, self.wide(x), mean], 1)
        return self.head(joined), joined.flatten(2).softmax(-1)


class Winograd(nn.Module):
    """3x3 convolutions that are computed in tiles, which no extent of the image is whole in."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 1)
        self.first = nn.Conv2d(32, 32, 3, 1, 1)
        self.second = nn.Conv2d(32, 20, 3, 1, (0, 2))
        self.skip = nn.Conv2d(32, 20, (3, 1), 1, (0, 1))
        self.down = nn.Conv2d(20, 16, 3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = (self.first(x) + x).relu()
        return self.down((self.second(x) + self.skip(x)).relu())


NETWORKS: dict[str, tuple[Network, tuple[int, ...]]] = {
    "residual": (lambda: Residual(5, 21, 3, 2), (2, 5, 13, 11)),
    "wide_depthwise": (lambda: Residual(16, 40, 5, 1), (1, 16, 9, 30)),
    "winograd": (Winograd, (2, 3, 15, 22)),
    "branches": (Branches, (1, 3, 19, 33)),
    "one_dimension": (
        lambda: nn.Sequential(nn.Conv1d(3, 18, 5, 2, 2), nn.ReLU(), nn.Conv1d(18, 33, 3, 1, 1)),
        (2, 3, 41),
    ),
}


@pytest.mark.parametrize(
    "target",
    [
        "native",
        pytest.param("x86-64-v3", marks=pytest.mark.slow),
        pytest.param("c99", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("name", NETWORKS)
def test_blocked_networks_equal_eager(name: str, target: str) -> None:
    torch.manual_seed(0)
    build, shape = NETWORKS[name]
    network, x = build().eval(), torch.randn(shape)
    with torch.no_grad():
        wanted = network(x)
    compiled = tilecast.compile(network, (x,), target=target, threads=2, cache=False)
    torch.testing.assert_close(compiled(x), wanted, rtol=1e-4, atol=1e-5)
