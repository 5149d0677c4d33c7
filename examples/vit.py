"""A tiny vision transformer from `transformers`, randomly initialized."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import ViTConfig, ViTForImageClassification


class Classifier(nn.Module):
    """Images in, class logits out."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.vit = ViTForImageClassification(config)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.vit(pixel_values=pixels).logits


def model() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """Two layers of width 96 over 8 x 8 patches of a 32 x 32 image."""
    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=96,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=384,
        image_size=32,
        patch_size=8,
        num_labels=10,
    )
    return Classifier(config).eval(), (torch.randn(2, 3, 32, 32),)
