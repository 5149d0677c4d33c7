"""Small random models of many transformers architectures equal eager PyTorch."""

from __future__ import annotations

from pathlib import Path

import pytest
import tilecast
import torch
from tilecast.benchmarks.zoo import TOWERS, zoo_model

# With attention written out as operators; models without attention have one form.
EAGER = ["bert", "gpt2", "llama", "gemma2", "t5_encoder", "swin", "clip_text", "whisper_encoder"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "attention"),
    [*((name, "sdpa") for name in TOWERS), *((name, "eager") for name in EAGER)],
)
def test_architectures_equal_eager(name: str, attention: str, cache_folder: Path) -> None:
    """Verification compares each kernel and the model with float64; this compares a call."""
    model, inputs = zoo_model(name, attention)
    compiled = tilecast.compile(model, inputs)
    with torch.no_grad():
        torch.testing.assert_close(compiled(*inputs), model(*inputs), rtol=2e-4, atol=2e-5)
