"""Functions that people write in models and that compilers forget: pictures, positions, columns,
masks, small and few products. The peer is eager mode, whose kernels are written by hand."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .case import Call, Case, Inputs, random_tensors

IMAGE = (1, 64, 56, 56)
HEADS = (1, 12, 128, 64)


def function_cases() -> list[Case]:
    """Every function on inputs of f32 unless its name says otherwise."""
    return [_case(name, function, inputs) for name, function, inputs in (*_images(), *_others())]


Entry = tuple[str, Callable[..., Any], Inputs]


def _images() -> list[Entry]:
    image, small = random_tensors(IMAGE), random_tensors((1, 16, 56, 56))
    generator = torch.Generator().manual_seed(0)
    grid = torch.rand(1, 64, 64, 2, generator=generator) * 2 - 1
    photo = torch.randint(0, 256, (480, 640, 3), dtype=torch.uint8, generator=generator)
    resize = functional.interpolate
    return [
        ("pixel_shuffle by 2", lambda x: functional.pixel_shuffle(x, 2), image),
        ("pixel_unshuffle by 2", lambda x: functional.pixel_unshuffle(x, 2), image),
        ("nearest by 2", lambda x: resize(x, scale_factor=2), image),
        ("nearest to 100 x 90", lambda x: resize(x, size=(100, 90)), image),
        ("bilinear by 2", lambda x: resize(x, scale_factor=2, mode="bilinear"), image),
        ("bilinear to 100 x 90", lambda x: resize(x, size=(100, 90), mode="bilinear"), image),
        (
            "bilinear by 2, corners",
            lambda x: resize(x, scale_factor=2, mode="bilinear", align_corners=True),
            image,
        ),
        ("bicubic by 2", lambda x: resize(x, scale_factor=2, mode="bicubic"), small),
        (
            "grid_sample",
            lambda x, at: functional.grid_sample(x, at, align_corners=False),
            (*random_tensors((1, 16, 64, 64)), grid),
        ),
        ("reflect by 3", lambda x: functional.pad(x, (3, 3, 3, 3), mode="reflect"), image),
        (
            "normalize a photo of bytes",
            lambda x: ((x.float() / 255 - 0.45) / 0.22).permute(2, 0, 1).contiguous(),
            (photo,),
        ),
        ("unfold 3 x 3", lambda x: functional.unfold(x, 3, padding=1), image),
        ("max_pool 3 of step 2", lambda x: functional.max_pool2d(x, 3, 2, 1), image),
        ("channel shuffle", lambda x: functional.channel_shuffle(x, 4), image),
    ]


def _others() -> list[Entry]:
    turned = random_tensors(HEADS, (128, 32), (128, 32))
    halves = random_tensors(HEADS, (128, 64), (128, 64))
    x, weight = random_tensors((16, 1024), (1024, 1024))
    return [
        ("rotary, pairs", _rotary_pairs, turned),
        ("rotary, halves", _rotary_halves, halves),
        ("interleave", _interleave, random_tensors((64, 2048), (64, 2048))),
        ("deinterleave", _deinterleave, random_tensors((64, 4096))),
        ("tril", torch.tril, random_tensors((1024, 1024))),
        ("mask by a triangle", _masked, random_tensors((12, 512, 512))),
        ("alibi softmax", _alibi, random_tensors((12, 128, 128), (12,))),
        ("windows", _windows, random_tensors((1, 56, 56, 96))),
        ("quaternion product", _quaternion, random_tensors((4096, 4), (4096, 4))),
        ("standardize columns", lambda x: (x - x.mean(0)) / x.std(0), random_tensors((4096, 256))),
        ("cumsum", lambda x: x.cumsum(-1), random_tensors((64, 4096))),
        ("topk of 8", lambda x: x.topk(8, -1)[0], random_tensors((64, 4096))),
        ("distances, by hand", _distances, random_tensors((300, 64), (400, 64))),
        ("cdist", torch.cdist, random_tensors((300, 64), (400, 64))),
        *(
            (f"{rows} rows times 1024 x 1024 transposed", _transposed, (x[:rows], weight))
            for rows in (1, 2, 4, 6, 8, 16)
        ),
        ("512 times 8 x 8", torch.matmul, random_tensors((512, 8, 8), (512, 8, 8))),
        ("10000 x 8 times 8 x 4", torch.matmul, random_tensors((10000, 8), (8, 4))),
        ("spectrogram", _spectrogram, random_tensors((1, 98, 400), (400, 201), (400, 201))),
    ]


def _case(name: str, function: Callable[..., Any], inputs: Inputs) -> Case:
    """Bytes are those of arguments and results."""
    results = function(*inputs)
    found = results if isinstance(results, tuple) else (results,)
    size = sum(t.numel() * t.element_size() for t in (*inputs, *found))
    return Case(name, partial(_make, function, inputs), 0.0, float(size))


def _make(function: Callable[..., Any], inputs: Inputs) -> tuple[nn.Module, Inputs]:
    return Call(function), inputs


def _rotary_pairs(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    a, b = x[..., ::2], x[..., 1::2]
    return torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2)


def _rotary_halves(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat((-b, a), -1) * sin


def _interleave(x: Tensor, y: Tensor) -> Tensor:
    return torch.stack((x, y), -1).flatten(1)


def _deinterleave(x: Tensor) -> Tensor:
    return torch.stack((x[:, ::2], x[:, 1::2]))


def _distances(x: Tensor, y: Tensor) -> Tensor:
    return ((x[:, None] - y) ** 2).sum(-1)


def _masked(x: Tensor) -> Tensor:
    return torch.where(torch.ones(512, 512).tril() > 0, x, float("-inf"))


def _alibi(scores: Tensor, slopes: Tensor) -> Tensor:
    at = torch.arange(scores.shape[-1])
    return (scores + slopes[:, None, None] * (at - at[:, None]).abs()).softmax(-1)


def _windows(x: Tensor) -> Tensor:
    return x.view(1, 8, 7, 8, 7, 96).permute(0, 1, 3, 2, 4, 5).reshape(-1, 49, 96) + 1


def _quaternion(p: Tensor, q: Tensor) -> Tensor:
    a, b, c, d = p.unbind(-1)
    e, f, g, h = q.unbind(-1)
    parts = (
        a * e - b * f - c * g - d * h,
        a * f + b * e + c * h - d * g,
        a * g - b * h + c * e + d * f,
        a * h + b * g - c * f + d * e,
    )
    return torch.stack(parts, -1)


def _transposed(x: Tensor, w: Tensor) -> Tensor:
    return x @ w.t()


def _spectrogram(frames: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    return torch.sqrt((frames @ cos) ** 2 + (frames @ sin) ** 2 + 1e-9)
