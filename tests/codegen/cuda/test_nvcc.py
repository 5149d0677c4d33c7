"""nvcc takes the emitted files without warnings, for both targets."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import tilecast
import torch
from torch import nn

TARGETS = ("sm_80", "sm_90")


class Sorted(nn.Module):
    """Opaque kernels, a row reduction, a running sum."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return torch.sort(x, dim=-1)[0], torch.softmax(x, -1), torch.cumsum(x, 1), x.amax()


def models() -> dict[str, tuple[nn.Module, tuple[torch.Tensor]]]:
    network = nn.Sequential(nn.Linear(33, 65), nn.LayerNorm(65), nn.GELU(), nn.Linear(65, 17))
    return {"mlp": (network, (torch.randn(7, 33),)), "sorted": (Sorted(), (torch.randn(5, 37),))}


@pytest.mark.needs_nvcc
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("nvcc") is None, reason="needs nvcc")
def test_nvcc_accepts_the_kernels(tmp_path: Path) -> None:
    torch.manual_seed(0)
    for name, (model, inputs) in models().items():
        sources = tilecast.compile(
            model.eval(), inputs, target="sm_80", name=name, stop_after="emit"
        )
        for file, text in sources.items():
            (tmp_path / file).write_text(text)
    files = sorted(path.name for path in tmp_path.glob("*.cu"))
    flags = [f"-gencode=arch=compute_{t[3:]},code={t}" for t in TARGETS]
    command = ["nvcc", "-std=c++17", "-fmad=false", "-Werror", "all-warnings", *flags, "-c", *files]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
