"""A package with CUDA sources builds without a GPU, agrees with its references, and loads."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import tilecast
import torch
from torch import nn


@pytest.mark.slow
@pytest.mark.parametrize("weights", [None, "u4:g8"])
def test_package_checks_itself_and_loads(tmp_path: Path, weights: str | None) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(9, 40), nn.ReLU(), nn.Linear(40, 5)).eval()
    x = torch.randn(3, 9)
    out = tilecast.emit(model, (x,), tmp_path / "out", target="sm_90", weights=weights)
    assert "-arch" in (out / "Makefile").read_text()
    texts = [file.read_text() for file in (out / "cuda").glob("*.cu")]
    queued = [text for text in texts if "place_on_device" not in text]
    assert len(queued) == len(texts) - 1  # the others are kernels and the program
    for call in ("cudaMalloc", "cudaFree", "Synchronize", "cudaMemcpy(", "cudaMemset("):
        assert not any(call in text for text in queued)  # a CUDA graph can record them
    done = subprocess.run(["make", "check", "GPU=no"], cwd=out, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = tilecast.load(out)
    loaded.verify()
    if weights is not None:
        return  # its reference was quantized, too
    with torch.no_grad():
        torch.testing.assert_close(loaded(x), model(x), rtol=1e-4, atol=1e-5)
