"""DS-CNN (Zhang et al., 2017) that spots keywords in one second of audio, randomly initialized.

The input is 49 frames of 10 mel-frequency cepstral coefficients; 12 classes.
"""

from __future__ import annotations

import tempfile

import tilecast
import torch
from torch import Tensor, nn

from examples.resnet18 import randomize_statistics


class DsCnn(nn.Module):
    """A convolution, four depthwise separable ones, average pooling, a classifier."""

    def __init__(self, channels: int = 64, blocks: int = 4, classes: int = 12) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(1, channels, (10, 4), (2, 2), (5, 1), bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        ]
        for _ in range(blocks):
            layers += [
                nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(),
                nn.Conv2d(channels, channels, 1, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(),
            ]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean((2, 3)))


def model() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """The small DS-CNN and the features of one second."""
    torch.manual_seed(0)
    module = DsCnn()
    randomize_statistics(module)
    return module.eval(), (torch.randn(1, 1, 49, 10),)


def main() -> None:
    """Plain C99 with all memory static: `python -m examples.keyword_spotting`."""
    module, inputs = model()
    fast = tilecast.compile(module, inputs, target="c99", max_memory="48KB", name="words")
    package = fast.save(tempfile.mkdtemp() + "/words", inline_weights=True)
    print(f"{package}: arena of {fast.artifact.arena_bytes} bytes; make -C {package} check")
    print("class:", int(fast(*inputs).argmax()))


if __name__ == "__main__":
    main()
