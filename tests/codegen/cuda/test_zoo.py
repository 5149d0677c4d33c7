"""Every architecture of the zoo and the example models as CUDA: verified, equal to eager PyTorch
under host emulation, and accepted by nvcc for both targets without warnings or spills."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import tilecast
import torch
from tilecast.benchmarks.zoo import TEXT, TOWERS, build, encoder, zoo_model
from tilecast.compiler.cuda.nvcc import has_nvcc, parse_reports
from torch import nn

Built = tuple[nn.Module, tuple[Any, ...]]


def example(name: str) -> Callable[[], Built]:
    """The model of an example file, which is small as it stands."""

    def load() -> Built:
        torch.manual_seed(0)
        model, inputs = import_module(f"tilecast.examples.{name}").model()
        return model.eval(), tuple(inputs)

    return load


def resnet18() -> Built:
    """ResNet-18's layers with an eighth of its channels, on images of 64 x 64."""
    config = {"embedding_size": 8, "hidden_sizes": [8, 16, 32, 64], "depths": [2, 2, 2, 2]}
    model = build("ResNetForImageClassification", {**config, "layer_type": "basic"}, "eager")

    class Logits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.model(x).logits
            return logits

    return Logits().eval(), (torch.randn(1, 3, 64, 64),)


def minilm() -> Built:
    """MiniLM's six layers and twelve heads, a quarter as wide."""
    return encoder(
        "BertModel",
        {**TEXT, "hidden_size": 96, "num_hidden_layers": 6, "num_attention_heads": 12},
        "sdpa",
    )


MAIN: dict[str, Callable[[], Built]] = {
    "minilm": minilm,
    "resnet18": resnet18,
    **{name: example(name) for name in ("mlp", "bert", "gpt2", "vit", "lstm")},
}


def load(name: str) -> Built:
    return MAIN[name.removeprefix("main-")]() if name.startswith("main-") else zoo_model(name)


def check_nvcc(sources: Mapping[str, str], folder: Path) -> None:
    """One call for all files and both targets; kernels that are the same text are built once."""
    seen: set[str] = set()
    files = []
    for name, text in sources.items():
        (folder / name).write_text(text)
        if name.endswith(".cu") and text not in seen:
            seen.add(text)
            files.append(name)
    targets = [f"-gencode=arch=compute_{n},code=sm_{n}" for n in (80, 90)]
    command = ["nvcc", "-std=c++17", "-fmad=false", "-Werror", "all-warnings", "-Xptxas", "-v"]
    done = subprocess.run(
        [*command, *targets, "-c", *files], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for report in parse_reports(done.stderr):
        assert report.spill_bytes == 0, report


@pytest.mark.slow
@pytest.mark.parametrize("name", [*(f"main-{name}" for name in MAIN), *TOWERS])
def test_architectures_become_cuda(name: str, tmp_path: Path) -> None:
    model, inputs = load(name)
    compiled = tilecast.compile(model, inputs, target="sm_80")  # verifies each kernel
    with torch.no_grad():
        expected = model(*inputs)
    leaves = torch.utils._pytree.tree_leaves
    for found, wanted in zip(leaves(compiled(*inputs)), leaves(expected), strict=True):
        torch.testing.assert_close(found, wanted, rtol=2e-4, atol=2e-5)
    if has_nvcc():
        check_nvcc(compiled.artifact.sources, tmp_path)
