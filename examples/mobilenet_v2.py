"""MobileNetV2 (Sandler et al., 2018) of any width and image size, randomly initialized."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from examples.resnet18 import randomize_statistics

# (expansion, channels at width 1, blocks, stride of the first)
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def scaled(channels: float, divisor: int = 8) -> int:
    """The multiple of `divisor` nearest to `channels`, not below 90% of it."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def convolution(channels_in: int, channels_out: int, kernel: int, stride: int, groups: int) -> list:
    """Convolution, batch norm, relu6."""
    padding = (kernel - 1) // 2
    return [
        nn.Conv2d(channels_in, channels_out, kernel, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU6(),
    ]


class InvertedResidual(nn.Module):
    """Expand, filter each channel alone, project; plus the input where the shape stays."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = channels_in * expansion
        self.has_shortcut = stride == 1 and channels_in == channels_out
        expand = convolution(channels_in, hidden, 1, 1, 1) if expansion != 1 else []
        self.layers = nn.Sequential(
            *expand,
            *convolution(hidden, hidden, 3, stride, hidden),
            nn.Conv2d(hidden, channels_out, 1, bias=False),
            nn.BatchNorm2d(channels_out),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.has_shortcut else self.layers(x)


class MobileNetV2(nn.Module):
    """Stem, inverted residual blocks, pooling, classifier."""

    def __init__(self, width: float = 1.0, classes: int = 1000) -> None:
        super().__init__()
        channels = scaled(32 * width)
        layers: list[nn.Module] = convolution(3, channels, 3, 2, 1)
        for expansion, base, count, stride in STAGES:
            for k in range(count):
                out = scaled(base * width)
                layers.append(InvertedResidual(channels, out, stride if k == 0 else 1, expansion))
                channels = out
        last = scaled(1280 * max(1.0, width))
        layers += convolution(channels, last, 1, 1, 1)
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(last, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean((2, 3)))


def network(width: float, pixels: int, classes: int = 1000) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """MobileNetV2 of `width` and one square image."""
    torch.manual_seed(0)
    module = MobileNetV2(width, classes)
    randomize_statistics(module)
    return module.eval(), (torch.randn(1, 3, pixels, pixels),)


def model() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """Width 0.35 for images of 144 pixels, a size for microcontrollers."""
    return network(0.35, 144)
