"""Whole models as CUDA: every kernel and the model verified under host emulation."""

from __future__ import annotations

import re
from typing import Any

import pytest
import tilecast
import torch
from torch import nn


def mlp() -> tuple[nn.Module, tuple[Any, ...]]:
    model = nn.Sequential(
        nn.Linear(33, 65), nn.LayerNorm(65), nn.GELU(), nn.Linear(65, 17), nn.Softmax(-1)
    )
    return model, (torch.randn(7, 33),)


def minilm() -> tuple[nn.Module, tuple[Any, ...]]:
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=99, hidden_size=48, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=96, max_position_embeddings=32,
    )  # fmt: skip
    ids = torch.randint(0, 99, (2, 13))
    return BertModel(config), (ids, torch.ones_like(ids))


def gpt2() -> tuple[nn.Module, tuple[Any, ...]]:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=101, n_positions=32, n_embd=48, n_layer=2, n_head=3)
    config.use_cache = False
    return GPT2LMHeadModel(config), (torch.randint(0, 101, (1, 11)),)


def vit() -> tuple[nn.Module, tuple[Any, ...]]:
    from transformers import ViTConfig, ViTModel

    config = ViTConfig(
        hidden_size=48, num_hidden_layers=2, num_attention_heads=3, intermediate_size=96,
        image_size=32, patch_size=8,
    )  # fmt: skip
    return ViTModel(config), (torch.randn(1, 3, 32, 32),)


def resnet() -> tuple[nn.Module, tuple[Any, ...]]:
    from transformers import ResNetConfig, ResNetModel

    config = ResNetConfig(
        embedding_size=16, hidden_sizes=[16, 32], depths=[1, 1], layer_type="basic"
    )
    return ResNetModel(config), (torch.randn(1, 3, 32, 32),)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(9, 12, num_layers=2, batch_first=True)
        self.head = nn.Linear(12, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm(x)[0])


def lstm() -> tuple[nn.Module, tuple[Any, ...]]:
    return Recurrent(), (torch.randn(2, 6, 9),)


class Mixed(nn.Module):
    """Data-dependent ops: sort, topk, running sums, scatter, gather."""

    def forward(self, x: torch.Tensor, k: torch.Tensor) -> tuple[torch.Tensor, ...]:
        values, order = torch.sort(x, dim=-1)
        best = torch.topk(x, 3, dim=-1).values
        sums = torch.cumsum(x, 1)
        scattered = torch.zeros_like(x).scatter_add(1, k, x)
        return values, order, best, sums, scattered, x.gather(1, k), x.sum(0), x.amax()


def mixed() -> tuple[nn.Module, tuple[Any, ...]]:
    return Mixed(), (torch.randn(5, 37), torch.randint(0, 37, (5, 37)))


def check(
    model: nn.Module,
    inputs: tuple[Any, ...],
    target: str = "sm_80",
    dtype: torch.dtype = torch.float32,
    weights: str | None = None,
    activations: str = "f32",
) -> None:
    model.eval().to(dtype)
    inputs = tuple(x.to(dtype) if x.is_floating_point() else x for x in inputs)
    fast = tilecast.compile(model, inputs, target=target, weights=weights, activations=activations)
    report = fast.verify()
    assert report.passed, str(report)
    if weights is not None or dtype != torch.float32:
        return  # the report has compared with what is to be expected
    with torch.no_grad():
        expected = model(*inputs)
    result = fast(*inputs)
    for a, b in zip(*map(torch.utils._pytree.tree_leaves, (result, expected)), strict=True):
        torch.testing.assert_close(a, b, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("target", [pytest.param("sm_80", marks=pytest.mark.slow), "sm_90"])
def test_mlp(target: str) -> None:
    torch.manual_seed(0)
    check(*mlp(), target)


@pytest.mark.parametrize(
    ("dtype", "weights", "activations"),
    [
        (torch.float16, None, "f32"),
        (torch.float32, "u4:g32", "f32"),
        (torch.float32, "u3:g64", "int8"),
        pytest.param(torch.bfloat16, "i8", "int8", marks=pytest.mark.slow),
        pytest.param(torch.float32, "u6:g32:zf16", "int8", marks=pytest.mark.slow),
        pytest.param(torch.float32, "u2:g16", "int8", marks=pytest.mark.slow),
        pytest.param(torch.float32, "nf4:g32", "int8", marks=pytest.mark.slow),
    ],
    ids=["f16", "u4", "u3-int8", "i8-int8", "u6-int8", "u2-int8", "nf4-int8"],
)
def test_tensor_cores(dtype: torch.dtype, weights: str | None, activations: str) -> None:
    torch.manual_seed(0)
    model, inputs = mlp()
    check(model, inputs, "sm_80", dtype, weights, activations)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dtype", "weights"),
    [
        (torch.float16, None),
        (torch.bfloat16, None),
        (torch.float32, "u4:g16"),
        (torch.float32, "e3m2"),
        (torch.float32, "nf4:g16"),
    ],
    ids=["f16", "bf16", "u4", "e3m2", "nf4"],
)
def test_transformers_of_narrow_types(dtype: torch.dtype, weights: str | None) -> None:
    torch.manual_seed(0)
    model, inputs = minilm()
    check(model, inputs, "sm_90", dtype, weights)


def test_blocks_share_the_steps_of_few_tiles() -> None:
    """Two kernels use the same semaphores, which each run clears and each kernel leaves at 0."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(900, 800), nn.ReLU(), nn.Linear(800, 12)).eval()
    x = torch.randn(3, 900)
    compiled = tilecast.compile(model, (x,), target="sm_80")
    text = "".join(t for n, t in compiled.artifact.sources.items() if n.endswith(".cu"))
    assert text.count("tc_lock(semaphores") == 2
    assert text.count("cudaMemcpyAsync") == 1
    for _ in range(2):
        torch.testing.assert_close(compiled(x), model(x), rtol=1e-4, atol=1e-4)


def test_opaque_ops() -> None:
    torch.manual_seed(0)
    check(*mixed())


class Counts(nn.Module):
    """Updates of integers that meet, and some of floats, whose order is kept."""

    def forward(self, k: torch.Tensor, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        ones = torch.ones_like(k)
        counts = torch.zeros(9, dtype=torch.int64).scatter_add(0, k.flatten(), ones.flatten())
        pairs = torch.zeros(9, 5, dtype=torch.int32)
        pairs = pairs.index_put((k[0],), k[:, :5].int(), accumulate=True)
        most = torch.zeros(6, 9, dtype=torch.int32).scatter_reduce(1, k, 3 * k.int(), "amax")
        least = torch.zeros(6, 9, dtype=torch.int64).scatter_reduce(1, k, -k, "amin")
        return counts, pairs, most, least, torch.zeros(6, 9).scatter_add(1, k, x)


def test_integers_are_updated_by_atomics() -> None:
    torch.manual_seed(0)
    k, x = torch.randint(0, 9, (6, 6)), torch.randn(6, 6)
    compiled = tilecast.compile(Counts(), (k, x), target="sm_80")
    text = "".join(t for n, t in compiled.artifact.sources.items() if n.endswith(".cu"))
    found = sorted(set(re.findall(r"atomic\w+\(\([\w ]+\*\)", text)))
    assert found == [
        "atomicAdd((int *)", "atomicAdd((unsigned long long *)",
        "atomicMax((int *)", "atomicMin((long long *)",
    ]  # fmt: skip
    for a, b in zip(compiled(k, x), Counts()(k, x), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.slow
def test_rows_are_sorted_by_a_thread_each() -> None:
    class Sorted(nn.Module):
        def forward(self, x: torch.Tensor, k: torch.Tensor) -> tuple[torch.Tensor, ...]:
            best = torch.topk(x, 3, dim=-1).values
            return torch.sort(x, -1)[0], best, torch.zeros_like(x).scatter_add(1, k, x)

    torch.manual_seed(0)
    x, k = torch.randn(70, 9), torch.randint(0, 9, (70, 9))
    compiled = tilecast.compile(Sorted(), (x, k), target="sm_80")
    text = "".join(t for n, t in compiled.artifact.sources.items() if n.endswith(".cu"))
    assert "dim3(1, 1), dim3(1, 1)," not in text  # nothing runs on one thread
    for found, wanted in zip(compiled(x, k), Sorted()(x, k), strict=True):
        torch.testing.assert_close(found, wanted)


@pytest.mark.slow
def test_units_of_a_layer_have_a_thread_each() -> None:
    """The steps of an LSTM run in order, with barriers between, the units of each in parallel."""
    torch.manual_seed(0)
    layer, x = nn.LSTM(5, 40).eval(), torch.randn(4, 2, 5)
    compiled = tilecast.compile(layer, (x,), target="sm_80")
    text = "".join(compiled.artifact.sources.values())
    assert "lstm_1_kernel, dim3(1, 1), dim3(64, 1)" in text
    torch.testing.assert_close(compiled(x)[0], layer(x)[0], rtol=1e-5, atol=1e-6)


def test_a_nan_spreads_over_its_row() -> None:
    class Rows(nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return x.amax(-1), x.amin(-1), torch.softmax(x, -1)

    x = torch.randn(3, 40)
    x[1, 7] = torch.nan
    results = tilecast.compile(Rows(), (x,), target="sm_80")(x)
    for found, wanted in zip(results, Rows()(x), strict=True):
        torch.testing.assert_close(found, wanted, equal_nan=True)


@pytest.mark.slow
@pytest.mark.parametrize("make", [minilm, gpt2, vit, resnet, lstm], ids=lambda make: make.__name__)
def test_models(make: Any) -> None:
    torch.manual_seed(0)
    check(*make())


class Reductions(nn.Module):
    """Long reductions: of everything, of few rows, and a softmax over a vocabulary."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return x.sum(), x.amax(), (x * x).mean(-1), torch.softmax(x, -1)


def test_long_reductions_have_stages() -> None:
    """Thousands of threads, then hundreds, then a warp; as good as float64 by verification."""
    torch.manual_seed(0)
    x = torch.randn(3, 9001)
    compiled = tilecast.compile(Reductions(), (x,), target="sm_80")
    text = "".join(t for n, t in compiled.artifact.sources.items() if n.endswith(".cu"))
    assert "dim3(1, 1), dim3(1, 1)," not in text  # nothing runs on one thread
    for found, wanted in zip(compiled(x), Reductions()(x), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
