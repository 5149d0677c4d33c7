"""Kernels that do little with each byte, at a size for the caches and at one for memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from .case import Call, Case, Inputs, random_tensors

# Rows x columns: 1 MiB of f32, and 64 MiB, which is twice a large last-level cache.
SIZES = {"in cache": (256, 1024), "in memory": (16384, 1024)}
VOCABULARY, WIDTH = 30522, 768


class AddNormGelu(nn.Module):
    """gelu(layer_norm(x + y)) * y."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Rows of `width`."""
        return functional.gelu(self.norm(x + y)) * y


def memory_cases(sizes: Mapping[str, tuple[int, int]] = SIZES) -> list[Case]:
    """Each kernel at all sizes; bytes are those of its arguments and results."""
    cases = []
    for label, (rows, columns) in sizes.items():
        n = 4.0 * rows * columns
        shape = (rows, columns)
        image = (rows // 256, 64, columns // 4, 64)
        table: list[tuple[str, Callable[[], tuple[nn.Module, Inputs]], float]] = [
            ("softmax", partial(_call, _softmax, shape), 2 * n),
            (
                "gelu(layer_norm(x+y))*y",
                partial(_module, AddNormGelu, columns, shape, shape),
                3 * n,
            ),
            ("rms_norm", partial(_module, nn.RMSNorm, columns, shape), 2 * n),
            ("relu(1.5x+y)*z+x", partial(_call, _chain, shape, shape, shape), 4 * n),
            ("transpose", partial(_call, _transpose, shape), 2 * n),
            ("permute", partial(_call, _permute, (rows // 128, 128, columns // 64, 64)), 2 * n),
            ("embedding", partial(_embedding, rows), 2 * 4.0 * rows * WIDTH),
            ("cross_entropy", partial(_cross_entropy, rows // 4, 4 * columns), n),
            ("group_norm+silu", partial(_group_norm, image), 2 * 4.0 * _elements(image)),
        ]
        cases += [Case(f"{name}, {label}", make, 0.0, size) for name, make, size in table]
    return cases


def _elements(shape: tuple[int, ...]) -> int:
    return torch.Size(shape).numel()


def _call(function: Callable[..., Tensor], *shapes: tuple[int, ...]) -> tuple[nn.Module, Inputs]:
    return Call(function), random_tensors(*shapes)


def _module(
    kind: Callable[[int], nn.Module], width: int, *shapes: tuple[int, ...]
) -> tuple[nn.Module, Inputs]:
    torch.manual_seed(0)
    return kind(width).eval(), random_tensors(*shapes)


def _softmax(x: Tensor) -> Tensor:
    return torch.softmax(x, -1)


def _chain(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    return torch.relu(1.5 * x + y) * z + x


def _transpose(x: Tensor) -> Tensor:
    return x.t().contiguous()


def _permute(x: Tensor) -> Tensor:
    return x.permute(0, 2, 1, 3).contiguous()


def _embedding(count: int) -> tuple[nn.Module, Inputs]:
    torch.manual_seed(0)
    return nn.Embedding(VOCABULARY, WIDTH).eval(), (torch.randint(0, VOCABULARY, (1, count)),)


def _cross_entropy(rows: int, classes: int) -> tuple[nn.Module, Inputs]:
    (logits,) = random_tensors((rows, classes))
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, classes, (rows,), generator=generator)
    return Call(functional.cross_entropy), (logits, labels)


def _group_norm(shape: tuple[int, ...]) -> tuple[nn.Module, Inputs]:
    torch.manual_seed(0)
    module = nn.Sequential(nn.GroupNorm(32, shape[1]), nn.SiLU()).eval()
    return module, random_tensors(shape)
