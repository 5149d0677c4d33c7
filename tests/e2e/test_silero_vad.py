"""Silero VAD over a minute of synthetic audio equals the network that its authors publish.

The package has two sets of weights: those of its safetensors file are run against eager PyTorch,
those of its TorchScript file against that program.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import tilecast
import torch
from tilecast.examples.silero_vad import CHUNK, data_folder, model

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("silero_vad") is None, reason="pip install --no-deps silero-vad"),
]
RATE = 16000


def minute() -> torch.Tensor:
    """Tones with overtones, in syllables with pauses, over noise."""
    generator = torch.Generator().manual_seed(0)
    time = torch.arange(60 * RATE) / RATE
    pitch = 120 + 20 * torch.sin(2 * torch.pi * 0.7 * time)
    phase = 2 * torch.pi * torch.cumsum(pitch, 0) / RATE
    voice = sum(torch.sin(k * phase) / k for k in range(1, 12))
    syllables = (torch.sin(2 * torch.pi * 3 * time) > 0) & (torch.sin(0.6 * time) > 0)
    noise = 0.01 * torch.randn(time.shape, generator=generator)
    return 0.2 * voice * syllables + noise


PARTS = {
    "stft_conv.weight": "stft.forward_basis_buffer",
    **{f"conv{k}": f"encoder.{k - 1}.reparam_conv" for k in range(1, 5)},
    "lstm_cell": "decoder.rnn",
    "final_conv": "decoder.decoder.2",
}


def with_weights_of(published: torch.nn.Module) -> torch.nn.Module:
    """Our module with the weights of the TorchScript program."""
    network, _ = model()
    state, theirs = network.state_dict(), published._model.state_dict()
    for name in state:
        part, _, leaf = name.rpartition(".")
        state[name] = theirs[PARTS.get(name) or f"{PARTS[part]}.{leaf}"]
    network.load_state_dict(state)
    return network


def test_a_minute_of_audio_equals_the_published_program(cache_folder: Path) -> None:
    published = torch.jit.load(data_folder() / "silero_vad.jit")
    compiled = tilecast.compile(with_weights_of(published), model()[1])
    with torch.no_grad():
        chunks = [chunk[None] for chunk in minute().split(CHUNK)[:-1]]
        found = torch.cat([compiled(chunk) for chunk in chunks])
        expected = torch.cat([published(chunk, RATE) for chunk in chunks])
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=2e-5)
    assert found.max() > 0.2
    assert found.min() < 0.01


def test_the_package_of_the_stored_weights_equals_eager(tmp_path: Path, cache_folder: Path) -> None:
    network, example = model()
    compiled = tilecast.compile(network, example, name="vad")
    loaded = tilecast.load(compiled.save(tmp_path / "vad"))
    with torch.no_grad():
        for chunk in minute().split(CHUNK)[:300]:
            expected, found = network(chunk[None]), compiled(chunk[None])
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=2e-5)
            torch.testing.assert_close(loaded(chunk[None]), found, rtol=0, atol=0)
