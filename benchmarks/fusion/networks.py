"""Small networks in which it matters what shares a kernel. Each function gives (module, inputs)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, silu

from examples.resnet18 import randomize_statistics

Network = tuple[nn.Module, tuple[Tensor, ...]]


class NormBlocks(nn.Module):
    """Group norm, silu and a residual, three times: the pointwise half of a diffusion model."""

    def __init__(self, channels: int = 128, groups: int = 32) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.GroupNorm(groups, channels) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        for norm in self.norms:
            x = x + silu(norm(x))
        return x


def norm_blocks() -> Network:
    """At 64 x 64 positions."""
    torch.manual_seed(0)
    return NormBlocks().eval(), (torch.randn(1, 128, 64, 64),)


class ResidualBlock(nn.Module):
    """The residual block of a diffusion model, with the embedding of a time step."""

    def __init__(self, channels: int = 64, groups: int = 8) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(groups, channels), nn.GroupNorm(groups, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.time = nn.Linear(128, channels)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        y = self.conv1(silu(self.norm1(x))) + self.time(silu(time))[:, :, None, None]
        return x + self.conv2(silu(self.norm2(y)))


def residual_block() -> Network:
    """At 64 x 64 positions."""
    torch.manual_seed(0)
    return ResidualBlock().eval(), (torch.randn(1, 64, 64, 64), torch.randn(1, 128))


class Standardize(nn.Module):
    """Columns brought to mean 0 and variance 1, then tanh, and the largest of each row."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z = (x - x.mean(0)) / torch.sqrt(x.var(0) + 1e-5)
        return torch.tanh(z), z.abs().amax(1)


def standardize() -> Network:
    """A thousand rows."""
    torch.manual_seed(0)
    return Standardize().eval(), (torch.randn(1024, 512),)


class Decoder(nn.Module):
    """Two transposed convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.ConvTranspose2d(32, 16, 4, 2, 1)
        self.second = nn.ConvTranspose2d(16, 8, 4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.second(torch.relu(self.first(x))))


def decoder() -> Network:
    """From 32 x 32 to 128 x 128."""
    torch.manual_seed(0)
    return Decoder().eval(), (torch.randn(1, 32, 32, 32),)


class NormChain(nn.Module):
    """Layer norms, gelu, gates and softmax over residual sums."""

    def __init__(self, width: int = 768) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.gate = nn.Parameter(torch.randn(width))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        sum = x + y
        sum = sum + nn.functional.gelu(self.first(sum)) * self.gate
        return torch.softmax(self.second(sum), -1) + sum


def norm_chain() -> Network:
    """512 rows of 768."""
    torch.manual_seed(0)
    return NormChain().eval(), (torch.randn(512, 768), torch.randn(512, 768))


class Loss(nn.Module):
    """Cross entropy."""

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return cross_entropy(x, target)


def loss() -> Network:
    """256 rows of 8,000 classes."""
    torch.manual_seed(0)
    return Loss().eval(), (torch.randn(256, 8000), torch.randint(0, 8000, (256,)))


class GatedLayer(nn.Module):
    """RMS norm and a gated feed-forward layer, as in Llama."""

    def __init__(self, width: int = 512) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(width)
        self.gate = nn.Linear(width, 2 * width, bias=False)
        self.up = nn.Linear(width, 2 * width, bias=False)
        self.down = nn.Linear(2 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        return x + self.down(silu(self.gate(y)) * self.up(y))


def gated_layer() -> Network:
    """64 rows."""
    torch.manual_seed(0)
    return GatedLayer().eval(), (torch.randn(64, 512),)


class DenseBlock(nn.Module):
    """A block of DenseNet (Huang et al., 2017): every layer reads the joined results of all."""

    def __init__(self, channels: int = 64, growth: int = 32, layers: int = 4) -> None:
        super().__init__()
        widths = [channels + k * growth for k in range(layers)]
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in widths)
        self.squeezes = nn.ModuleList(nn.Conv2d(width, 4 * growth, 1) for width in widths)
        self.convs = nn.ModuleList(nn.Conv2d(4 * growth, growth, 3, padding=1) for _ in widths)

    def forward(self, x: Tensor) -> Tensor:
        for norm, squeeze, conv in zip(self.norms, self.squeezes, self.convs, strict=True):
            y = torch.relu(squeeze(torch.relu(norm(x))))
            x = torch.cat([x, conv(y)], 1)
        return x


def dense_block() -> Network:
    """At 56 x 56 positions, as the first block of DenseNet-121."""
    torch.manual_seed(0)
    network = DenseBlock()
    randomize_statistics(network)
    return network.eval(), (torch.randn(1, 64, 56, 56),)


class ModulatedNorm(nn.Module):
    """Group norm scaled and shifted by an embedding, silu and a residual, twice."""

    def __init__(self, channels: int = 256, groups: int = 32) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.GroupNorm(groups, channels) for _ in range(2))
        self.scales = nn.ModuleList(nn.Linear(64, 2 * channels) for _ in range(2))

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        for norm, scales in zip(self.norms, self.scales, strict=True):
            scale, shift = scales(embedding)[:, :, None, None].chunk(2, 1)
            x = x + silu(norm(x) * (1 + scale) + shift)
        return x


def modulated_norm() -> Network:
    """At 48 x 48 positions."""
    torch.manual_seed(0)
    return ModulatedNorm().eval(), (torch.randn(1, 256, 48, 48), torch.randn(1, 64))


class ScoreBlock(nn.Module):
    """Log-mel features brought to mean 0 and variance 1 per recording, clipped softly and gated."""

    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        x = torch.log(x * x + 1e-6)
        mean = x.mean((1, 2), keepdim=True)
        x = (x - mean) * torch.rsqrt(((x - mean) ** 2).mean((1, 2), keepdim=True) + 1e-5)
        return torch.tanh(x) * torch.sigmoid(gate)


def score_block() -> Network:
    """Eight recordings of 80 x 1500."""
    torch.manual_seed(0)
    return ScoreBlock().eval(), (torch.randn(8, 80, 1500), torch.randn(8, 80, 1500))


class InstanceBlocks(nn.Module):
    """Convolution, instance norm and relu, as in networks of style transfer, with residuals."""

    def __init__(self, channels: int = 32) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(4))
        self.norms = nn.ModuleList(nn.InstanceNorm2d(channels, affine=True) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = x + torch.relu(norm(conv(x)))
        return x


def instance_blocks() -> Network:
    """At 96 x 96 positions."""
    torch.manual_seed(0)
    return InstanceBlocks().eval(), (torch.randn(1, 32, 96, 96),)


class ImageNorm(nn.Module):
    """Layer norm over all of an image, gelu and a residual, twice."""

    def __init__(self, shape: tuple[int, int, int] = (32, 64, 64)) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(shape) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        for norm in self.norms:
            x = x + nn.functional.gelu(norm(x))
        return x


def image_norm() -> Network:
    """Four images of 32 x 64 x 64."""
    torch.manual_seed(0)
    return ImageNorm().eval(), (torch.randn(4, 32, 64, 64),)
