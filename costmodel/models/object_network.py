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


@dataclass(frozen=True)
class Batch:
    """Kernels x lines x words (0 pads), the lines that are there, the numbers beside them, and
    how many lines of the kernel each line stands for."""

    words: Tensor
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
                nn.Conv1d(EMBEDDED, CHANNELS, 5, padding=2),
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
        self.spills = nn.Linear(CHANNELS, 1)
        self.extra = nn.Linear(CHANNELS, 1)  # what no line has: prologues, calls

    def forward(self, batch: Batch) -> Counts:
        """The counts of each kernel."""
        kernels, lines, words = batch.words.shape
        bags = self.embedding(batch.words.reshape(kernels * lines, words))
        channels = bags.reshape(kernels, lines, EMBEDDED).transpose(1, 2)
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
        return Counts(
            self.registers(hidden), self.spills(hidden)[:, 0], torch.log1p(total * 4 + base * 10)
        )


def padded(
    kernels: Sequence[Sequence[Sequence[int]]], longest: int
) -> tuple[Tensor, Tensor, Tensor]:
    """(words, is_line, weight) of kernels given as lines of word numbers; of a kernel with more
    than `longest` lines every second, third, ... run of lines is left out."""
    kept = [shortened(lines, longest) for lines in kernels]
    height = max(1, *(len(lines) for lines in kept))
    width = max(1, *(len(line) for lines in kept for line in lines))
    words = torch.zeros((len(kept), height, width), dtype=torch.int64)
    is_line = torch.zeros((len(kept), height), dtype=torch.bool)
    for k, lines in enumerate(kept):
        is_line[k, : len(lines)] = True
        for i, line in enumerate(lines):
            words[k, i, : len(line)] = torch.tensor(line)
    weight = torch.tensor([len(a) / max(1, len(b)) for a, b in zip(kernels, kept, strict=True)])
    return words, is_line, weight


RUN = 64  # lines that stay together where lines are left out


def shortened(lines: Sequence[Sequence[int]], longest: int) -> Sequence[Sequence[int]]:
    """At most `longest` lines: runs of them at equal distances."""
    if len(lines) <= longest:
        return lines
    runs = [lines[k : k + RUN] for k in range(0, len(lines), RUN)]
    count = longest // RUN
    chosen = [runs[round(k * (len(runs) - 1) / max(1, count - 1))] for k in range(count)]
    return [line for run in chosen for line in run]
