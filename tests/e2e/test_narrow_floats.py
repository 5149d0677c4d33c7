"""f16 and bf16 models: stored so, computed in float32, rounded once per operator as torch does."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tilecast
import torch
import torch.nn.functional as F
from torch import Tensor, nn

Case = tuple[Callable[..., Any], tuple[Tensor, ...]]
Table = dict[str, Case]
TYPES = {"bf16": torch.bfloat16, "f16": torch.float16}


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape) + 1))


FUNCTIONS: Table = {
    "arithmetic": (lambda x, y: (x + y, x - y, x * y, x / y, -x), (normal(7, 19), normal(19))),
    "numbers": (lambda x: (x * 0.1, x + 0.3, 1 / x, x > 0.1, x == 0.1), (normal(5, 13),)),
    "chain": (lambda x: ((x * 1.7 + 0.3).exp() - 1).tanh() * x, (normal(11, 17),)),
    "activations": (
        lambda x: (F.gelu(x), F.silu(x), F.softplus(x), F.hardswish(x), F.elu(x)),
        (normal(33),),
    ),
    "casts": (
        lambda x: (x.float(), x.double(), x.long(), x.bool(), x.bfloat16(), x.half()),
        (normal(3, 37),),
    ),
    "from_integers": (
        lambda x, n: (x * n, n.to(x.dtype), torch.arange(9, dtype=x.dtype) + x[0, 0]),
        (normal(3, 4), torch.arange(12).reshape(3, 4)),
    ),
    "choices": (lambda x: (x.clamp(-0.3, 0.7), torch.where(x > 0, x, -1.0)), (normal(9, 5),)),
    "layout": (
        lambda x: (x.T, x[:, ::2], torch.cat([x, x], 1), F.pad(x, (1, 2), value=0.5), x.flip(0)),
        (normal(6, 35),),
    ),
    "lookups": (
        lambda x, i: (F.embedding(i, x), x[i], x.index_select(0, i), x.gather(0, i[:, None])),
        (normal(10, 7), torch.tensor([1, 9, 0, 3])),
    ),
    "updates": (
        lambda x, i, y: (
            x.index_copy(0, i, y),
            x.index_add(0, i, y),
            x.scatter_add(0, i[:, None], y),
        ),
        (normal(10, 7), torch.tensor([1, 9, 1, 3]), normal(4, 7)),
    ),
    "sums": (lambda x: (x.sum(), x.mean(0), x.amax(1), x.argmax(1), x.prod(1)), (normal(9, 70),)),
    "long_sum": (lambda x: x.sum(), (normal(4097).abs(),)),
    "statistics": (lambda x: (x.var(1), x.std(), x.logsumexp(1), x.norm(dim=0)), (normal(9, 70),)),
    "scans": (lambda x: (x.cumsum(1), x.cumprod(0)), (normal(5, 40),)),
    "sorting": (lambda x: (x.sort(stable=True), x.topk(3), x.median(1)), (normal(5, 40),)),
    "softmax": (lambda x: (x.softmax(-1), x.log_softmax(0)), (normal(9, 70),)),
    "norms": (
        lambda x, w: (F.layer_norm(x, (70,), w), F.rms_norm(x, (70,), w), F.group_norm(x, 7)),
        (normal(9, 70), normal(70)),
    ),
    "products": (
        lambda x, w, b: (F.linear(x, w, b), x @ w.T, x[0] @ w[0], F.linear(x, w).relu()),
        (normal(13, 37), normal(21, 37), normal(21)),
    ),
    "batched_product": (torch.matmul, (normal(3, 5, 33), normal(3, 33, 18))),
    "convolution": (
        lambda x, w: (F.conv2d(x, w, padding=1), F.conv2d(x, w, stride=2).relu()),
        (normal(2, 3, 9, 11), normal(5, 3, 3, 3)),
    ),
    "resizing": (
        lambda x: (
            F.interpolate(x, scale_factor=2, mode="bilinear"),
            F.interpolate(x, size=(5, 13), mode="bilinear"),
        ),
        (normal(2, 3, 9, 11),),
    ),
    "pools": (lambda x: (F.max_pool2d(x, 2), F.avg_pool2d(x, 3, 2, 1)), (normal(2, 3, 9, 11),)),
    "attention": (
        lambda q, k: (
            F.scaled_dot_product_attention(q, k, k),
            F.scaled_dot_product_attention(q, k, k, is_causal=True),
        ),
        (normal(1, 2, 20, 16), normal(1, 2, 20, 16)),
    ),
    "special": (
        lambda x: (x + 1, x * 3, x.relu(), x.isnan(), x.amax(), x.exp()),
        (torch.tensor([float("nan"), float("inf"), -float("inf"), 6e4, -0.0, 1e-7, 3e-39]),),
    ),
    "nothing": (lambda x: (x + 1, x.sum()), (normal(0, 3),)),
}


def typed(table: Table, dtype: torch.dtype) -> Table:
    """The table with its float inputs in `dtype`."""
    return {
        name: (f, tuple(x.to(dtype) if x.is_floating_point() else x for x in inputs))
        for name, (f, inputs) in table.items()
    }


TABLES = {name: typed(FUNCTIONS, dtype) for name, dtype in TYPES.items()}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", TYPES)
def test_narrow_floats(check: Any, dtype: str, name: str) -> None:
    check(TABLES[dtype], name)


class Layer(nn.Module):
    """What a layer of a language model does, with weights that are worth storing narrow."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.norm = nn.LayerNorm(64)
        self.up = nn.Linear(64, 96)
        self.down = nn.Linear(96, 64)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(F.gelu(self.up(self.norm(x))))


def test_weights_stay_narrow_and_sums_are_wide(cache_folder: Path) -> None:
    model, x = Layer().bfloat16().eval(), normal(5, 64).bfloat16()
    loops = str(tilecast.compile(model, (x,), stop_after="loops"))
    products = re.findall(r"math\.fma .*|vector\.fma .*", loops)
    assert products
    assert not any("bf16" in line for line in products)
    compiled = tilecast.compile(model, (x,))
    names = {array.dtype.name for array in compiled.artifact.weights.values()}
    assert names <= {"bfloat16", "int32"}  # products are taken of pairs in words
    stored = sum(array.nbytes for array in compiled.artifact.weights.values())
    assert stored < 3 * sum(parameter.numel() for parameter in model.parameters())
    torch.testing.assert_close(compiled(x), model(x), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("dtype", TYPES)
def test_saved_package_checks_itself_and_loads(
    dtype: str, cache_folder: Path, tmp_path: Path
) -> None:
    import subprocess

    model, x = Layer().to(TYPES[dtype]).eval(), normal(5, 64).to(TYPES[dtype])
    compiled = tilecast.compile(model, (x,), name="layer")
    folder = compiled.save(tmp_path / "package")
    subprocess.run(["make", "-C", str(folder), "check"], check=True, capture_output=True)
    loaded = tilecast.load(folder)(x)
    assert loaded.dtype == TYPES[dtype]
    assert torch.equal(loaded, compiled(x))
