"""Silero VAD, which tells speech from noise in a stream of audio, with its real weights.

A call takes 512 samples (32 ms at 16 kHz) and answers the probability of speech. What it remembers
between calls, the state of an LSTM cell and the last 64 samples, are buffers that it changes.

    pip install --no-deps silero-vad    # only the weights are used
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

CHUNK, CONTEXT, BINS, UNITS = 512, 64, 129, 128


class SileroVad(nn.Module):
    """Spectrum by convolution, four convolutions, an LSTM cell, a logistic unit."""

    def __init__(self) -> None:
        super().__init__()
        self.stft_conv = nn.Conv1d(1, 2 * BINS, 256, stride=128, bias=False)
        self.conv1 = nn.Conv1d(BINS, 128, 3, padding=1)
        self.conv2 = nn.Conv1d(128, 64, 3, stride=2, padding=1)
        self.conv3 = nn.Conv1d(64, 64, 3, stride=2, padding=1)
        self.conv4 = nn.Conv1d(64, 128, 3, padding=1)
        self.lstm_cell = nn.LSTMCell(128, UNITS)
        self.final_conv = nn.Conv1d(UNITS, 1, 1)
        self.register_buffer("hidden", torch.zeros(1, UNITS), persistent=False)
        self.register_buffer("cell", torch.zeros(1, UNITS), persistent=False)
        self.register_buffer("context", torch.zeros(1, CONTEXT), persistent=False)

    def forward(self, chunk: Tensor) -> Tensor:
        samples = F.pad(torch.cat([self.context, chunk], 1), (0, 64), mode="reflect")
        self.context.copy_(chunk[:, -CONTEXT:])
        spectrum = self.stft_conv(samples.unsqueeze(1))
        x = (spectrum[:, :BINS] ** 2 + spectrum[:, BINS:] ** 2).sqrt()
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x).relu()
        hidden, cell = self.lstm_cell(x.squeeze(-1), (self.hidden, self.cell))
        self.hidden.copy_(hidden)
        self.cell.copy_(cell)
        probability: Tensor = self.final_conv(hidden.relu().unsqueeze(-1)).sigmoid().mean(2)
        return probability


def data_folder() -> Path:
    """Where the package keeps its weights; ImportError where it is not installed."""
    found = find_spec("silero_vad")  # not imported: it would bring in torchaudio
    if found is None or found.origin is None:
        raise ImportError("pip install --no-deps silero-vad")
    return Path(found.origin).parent / "data"


def model() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """The network and a chunk of silence."""
    network = SileroVad()
    network.load_state_dict(load_file(data_folder() / "silero_vad_16k.safetensors"))
    return network.eval(), (torch.zeros(1, CHUNK),)
