"""The networks of the comparison in their published sizes, randomly initialized, at batch 1.

Each function returns (module, example inputs). Configurations are those of `transformers` where it
has the network; the U-Net and the LSTM are defined here.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from examples.resnet18 import randomize_statistics

Network = tuple[nn.Module, tuple[Tensor, ...]]
IMAGE = (1, 3, 224, 224)


class Output(nn.Module):
    """A network of `transformers` reduced to some tensors of its output."""

    def __init__(self, network: nn.Module, argument: str, *fields: str, **settings: Any) -> None:
        super().__init__()
        self.network, self.argument, self.fields = network, argument, fields
        self.settings = settings

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        output = self.network(**{self.argument: x}, **self.settings)
        return tuple(getattr(output, field) for field in self.fields)


def _images(network: nn.Module) -> Network:
    """An image classifier and one image."""
    randomize_statistics(network)
    return Output(network, "pixel_values", "logits").eval(), (torch.randn(IMAGE),)


def bert_base() -> Network:
    """BERT-base, 128 tokens."""
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    network = BertModel(BertConfig())
    tokens = torch.randint(0, 30522, (1, 128))
    return Output(network, "input_ids", "last_hidden_state", "pooler_output").eval(), (tokens,)


def gpt2_small() -> Network:
    """GPT-2 small with its head, 128 tokens at once."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    network = GPT2LMHeadModel(GPT2Config())
    tokens = torch.randint(0, 50257, (1, 128))
    return Output(network, "input_ids", "logits", use_cache=False).eval(), (tokens,)


class DecodeStep(nn.Module):
    """One token behind a cache: token [1, 1], cache [layers, 2, 1, heads, positions, width] to
    logits and the keys and values of the token."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, token: Tensor, cache: Tensor) -> tuple[Tensor, Tensor]:
        from transformers import DynamicCache

        past = DynamicCache([(layer[0], layer[1]) for layer in cache])
        output = self.network(input_ids=token, past_key_values=past, use_cache=True)
        new = [torch.stack([x.keys[..., -1:, :], x.values[..., -1:, :]]) for x in past.layers]
        return output.logits, torch.stack(new)


def gpt2_decode() -> Network:
    """GPT-2 small on the token at position 512."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    network = GPT2LMHeadModel(GPT2Config())
    inputs = torch.randint(0, 50257, (1, 1)), torch.randn(12, 2, 1, 12, 512, 64)
    return DecodeStep(network).eval(), inputs


def vit_base() -> Network:
    """ViT-B/16."""
    from transformers import ViTConfig, ViTForImageClassification

    torch.manual_seed(0)
    return _images(ViTForImageClassification(ViTConfig(num_labels=1000)))


def resnet50() -> Network:
    """ResNet-50."""
    from transformers import ResNetConfig, ResNetForImageClassification

    torch.manual_seed(0)
    return _images(ResNetForImageClassification(ResNetConfig(num_labels=1000)))


def mobilenet_v2() -> Network:
    """MobileNetV2 of width 1.0."""
    from transformers import MobileNetV2Config, MobileNetV2ForImageClassification

    torch.manual_seed(0)
    return _images(MobileNetV2ForImageClassification(MobileNetV2Config(num_labels=1000)))


def efficientnet_b0() -> Network:
    """EfficientNet-B0."""
    from transformers import EfficientNetConfig, EfficientNetForImageClassification

    torch.manual_seed(0)
    config = EfficientNetConfig(
        width_coefficient=1.0,
        depth_coefficient=1.0,
        image_size=224,
        hidden_dim=1280,
        num_labels=1000,
    )
    return _images(EfficientNetForImageClassification(config))


def whisper_tiny_encoder() -> Network:
    """The encoder of Whisper-tiny: 30 s of audio as 80 x 3000 log-mel features."""
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    torch.manual_seed(0)
    network = WhisperEncoder(WhisperConfig(encoder_attention_heads=6, encoder_ffn_dim=1536))
    features = torch.randn(1, 80, 3000)
    return Output(network, "input_features", "last_hidden_state").eval(), (features,)


def _double(channels_in: int, channels_out: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in (channels_in, channels_out):
        layers.append(nn.Conv2d(width, channels_out, 3, padding=1, bias=False))
        layers += [nn.BatchNorm2d(channels_out), nn.ReLU()]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """Contracting and expanding path (Ronneberger et al., 2015) with padding and batch norms."""

    def __init__(self, widths: tuple[int, ...] = (32, 64, 128, 256), classes: int = 2) -> None:
        super().__init__()
        inputs = (3, *widths[:-1])
        self.down = nn.ModuleList(_double(i, w) for i, w in zip(inputs, widths, strict=True))
        pairs = list(pairwise(widths))[::-1]
        self.up = nn.ModuleList(nn.ConvTranspose2d(deep, w, 2, 2) for w, deep in pairs)
        self.merge = nn.ModuleList(_double(2 * w, w) for w, _ in pairs)
        self.head = nn.Conv2d(widths[0], classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        kept = []
        for level in self.down[:-1]:
            x = level(x)
            kept.append(x)
            x = nn.functional.max_pool2d(x, 2)
        x = self.down[-1](x)
        for up, merge in zip(self.up, self.merge, strict=True):
            x = merge(torch.cat([kept.pop(), up(x)], 1))
        return self.head(x)


def unet() -> Network:
    """Four levels of 32 to 256 channels, one 128 x 128 image."""
    torch.manual_seed(0)
    network = UNet()
    randomize_statistics(network)
    return network.eval(), (torch.randn(1, 3, 128, 128),)


class Lstm(nn.Module):
    """Two layers of 256 units."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(256, 256, num_layers=2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.lstm(x)[0]


def lstm() -> Network:
    """64 steps of 256 features."""
    torch.manual_seed(0)
    return Lstm().eval(), (torch.randn(1, 64, 256),)
