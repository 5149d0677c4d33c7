"""The network that reads the words of a kernel's loops: tensors of word numbers in, counts out.

Each line (an op with its operands) is the sum of the embeddings of its words; convolutions see its
neighbours. What a kernel needs at once (registers) is in the largest of each channel, what adds up
(instructions) is a sum over lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

EMBEDDED = 32
CHANNELS = 48
MOST_REGISTERS = 256
SCALARS = 4
LIVE = 2
RUN = 64  # lines that stay together where others are left out


@dataclass(frozen=True)
class Batch:
    """Kernels x lines x words (0 pads), live values of each line, the lines that are there, numbers
    of each kernel, and how many lines of the kernel each line stands for."""

    words: Tensor
    live: Tensor
    is_line: Tensor
    scalars: Tensor
    weight: Tensor


@dataclass(frozen=True)
class Counts:
    """What the network says: logits of numbers of registers, logarithms of 1 + the others."""

    registers: Tensor
    spills: Tensor
    instructions: Tensor


class ObjectNetwork(nn.Module):
    """Embedding, three convolutions, two ways of pooling, three heads."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.embedding = nn.EmbeddingBag(vocabulary, EMBEDDED, mode="sum", padding_idx=0)
        self.layers = nn.ModuleList(
            [
                nn.Conv1d(EMBEDDED + LIVE, CHANNELS, 5, padding=2),
                nn.Conv1d(CHANNELS, CHANNELS, 5, padding=4, dilation=2),
                nn.Conv1d(CHANNELS, CHANNELS, 5, padding=8, dilation=4),
            ]
        )
        self.per_line = nn.Linear(CHANNELS, 1)
        self.hidden = nn.Sequential(
            nn.Linear(CHANNELS + SCALARS + 1, 2 * CHANNELS),
            nn.ELU(),
            nn.Dropout(0.1),
            nn.Linear(2 * CHANNELS, CHANNELS),
            nn.ELU(),
        )
        self.registers = nn.Linear(CHANNELS, MOST_REGISTERS)
        self.middle = nn.Linear(CHANNELS, 2)
        self.spills = nn.Linear(CHANNELS, 1)
        self.extra = nn.Linear(CHANNELS, 1)  # what no line has: prologues, calls

    def forward(self, batch: Batch) -> Counts:
        """The counts of each kernel."""
        kernels, lines, words = batch.words.shape
        bags = self.embedding(batch.words.reshape(kernels * lines, words))
        bags = bags.reshape(kernels, lines, EMBEDDED)
        channels = torch.cat([bags, batch.live], dim=2).transpose(1, 2)
        inside = batch.is_line[:, None, :].float()
        for k, layer in enumerate(self.layers):
            found = nn.functional.elu(layer(channels)) * inside
            channels = found if k == 0 else channels + found
        pooled = channels.masked_fill(inside == 0, -1.0).amax(dim=2)
        each = nn.functional.softplus(self.per_line(channels.transpose(1, 2))[..., 0])
        total = (each * batch.is_line).sum(dim=1) * batch.weight
        hidden = self.hidden(
            torch.cat([pooled, batch.scalars, torch.log1p(total)[:, None] / 5], dim=1)
        )
        base = nn.functional.softplus(self.extra(hidden)[:, 0])
        # Numbers near the middle are likely, what is left to learn is which of them.
        middle, width = self.middle(hidden).unbind(dim=1)
        numbers = torch.arange(MOST_REGISTERS)[None, :]
        distance = (numbers - 16 * (1 + middle[:, None])).abs()
        registers = self.registers(hidden) - nn.functional.softplus(width)[:, None] * distance
        return Counts(registers, self.spills(hidden)[:, 0], torch.log1p(total * 4 + base * 10))


@dataclass(frozen=True)
class Line:
    """Numbers of the words of a line, and the live values there, scaled."""

    words: Sequence[int]
    live: tuple[float, float]


def batch_of(kernels: Sequence[Sequence[Line]], scalars: Tensor, longest: int) -> Batch:
    """Kernels padded to equal lengths; of a kernel with more than `longest` lines, runs of them at
    equal distances stand for all."""
    kept = [shortened(lines, longest) for lines in kernels]
    height = max(1, *(len(lines) for lines in kept))
    width = max(1, *(len(line.words) for lines in kept for line in lines))
    words = torch.zeros((len(kept), height, width), dtype=torch.int64)
    live = torch.zeros((len(kept), height, LIVE))
    is_line = torch.zeros((len(kept), height), dtype=torch.bool)
    for k, lines in enumerate(kept):
        is_line[k, : len(lines)] = True
        live[k, : len(lines)] = torch.tensor([line.live for line in lines])
        for i, line in enumerate(lines):
            words[k, i, : len(line.words)] = torch.tensor(line.words)
    weight = torch.tensor([len(a) / max(1, len(b)) for a, b in zip(kernels, kept, strict=True)])
    return Batch(words, live, is_line, scalars, weight)


def shortened(lines: Sequence[Line], longest: int) -> Sequence[Line]:
    """At most `longest` lines, in runs of `RUN`."""
    if len(lines) <= longest:
        return lines
    runs = [lines[k : k + RUN] for k in range(0, len(lines), RUN)]
    count = longest // RUN
    chosen = [runs[round(k * (len(runs) - 1) / max(1, count - 1))] for k in range(count)]
    return [line for run in chosen for line in run]
