"""A Conv1D stack over the scheduled loops as tokens, after the MLIR cost model (Das et al. 2023).

A statement is its operations and accesses, then its loops from the outermost on; numbers are tokens
of their order of magnitude, so the vocabulary is fixed and small. Features of the program, which
know the machine, join what the stack makes of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ..features.nests import KINDS, OPERATIONS, ScheduledProgram, StatementNest
from .corrections import CorrectionModel
from .interface import INPUT_NAMES, Candidates

MAGNITUDES = 40  # half powers of two
ELEMENTS = ("f64", "f32")
WORDS = (
    *("end", "statement", "reduction", "read", "write", "temporary", "other type"),
    *ELEMENTS,
    *OPERATIONS,
    *KINDS,
    *(f"size {k}" for k in range(MAGNITUDES)),
)
NUMBER = {word: k for k, word in enumerate(WORDS)}
LONGEST = 320
WIDTH = 32


def magnitude(value: float) -> int:
    """The token of a number from 1 on."""
    return NUMBER["size 0"] + int(np.clip(round(2 * np.log2(max(value, 1.0))), 0, MAGNITUDES - 1))


def tokens_of(program: ScheduledProgram) -> list[int]:
    """The program as tokens, at most `LONGEST`."""
    found: list[int] = []
    for nest in program.nests:
        found += statement_tokens(nest)
    return [*found[: LONGEST - 1], NUMBER["end"]]


def statement_tokens(nest: StatementNest) -> Iterator[int]:
    """One statement with its loops."""
    facts = nest.facts
    yield NUMBER["statement"]
    yield NUMBER[facts.element if facts.element in ELEMENTS else "other type"]
    if facts.is_reduction:
        yield NUMBER["reduction"]
    for name, count in facts.operations.items():
        yield NUMBER[name]
        yield magnitude(count)
    for access in facts.accesses:
        yield NUMBER["write" if access.is_write else "read"]
        if access.is_temporary:
            yield NUMBER["temporary"]
        yield magnitude(float(np.prod(access.shape)) * access.element_bytes)
    for trips, kind in zip(nest.trips, nest.kinds, strict=True):
        yield NUMBER[KINDS[kind]]
        yield magnitude(float(trips))


class TokenNetwork(nn.Module):
    """Embedding, convolutions, the largest of each channel, and a number."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(WORDS), WIDTH)
        self.layers = nn.Sequential(
            nn.Conv1d(WIDTH, 2 * WIDTH, 5, padding=2),
            nn.ELU(),
            nn.Conv1d(2 * WIDTH, 2 * WIDTH, 5, padding=4, dilation=2),
            nn.ELU(),
            nn.Conv1d(2 * WIDTH, 2 * WIDTH, 5, padding=8, dilation=4),
            nn.ELU(),
        )
        self.program = nn.Sequential(
            nn.Linear(2 * WIDTH + len(INPUT_NAMES), WIDTH), nn.ELU(), nn.Linear(WIDTH, 1)
        )

    def forward(self, rows: dict[str, Tensor], tokens: Tensor) -> Tensor:
        """log(seconds / roofline) of each program."""
        channels = self.layers(self.embedding(tokens).transpose(1, 2))
        pooled = channels.amax(dim=2)
        result: Tensor = self.program(torch.cat([pooled, rows["program"]], dim=1))[:, 0]
        return result


@dataclass
class TokensModel(CorrectionModel):
    """The text of the loops, and the features of the program."""

    name: str = "tokens"

    def new_network(self) -> TokenNetwork:
        """With random weights."""
        return TokenNetwork()

    def structure(self, candidates: Candidates) -> Tensor:
        """The tokens, padded with the end."""
        lists = [tokens_of(program) for program in candidates.programs]
        found = torch.full((len(lists), max(map(len, lists))), NUMBER["end"])
        for row, tokens in enumerate(lists):
            found[row, : len(tokens)] = torch.tensor(tokens)
        return found
