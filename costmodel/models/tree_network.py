"""The network of the `recursive` model: statements to embeddings, loops from what is inside them.

The shape is that of LOOPer's model (Merouani et al. 2024, after Baghdadi et al. 2021): an LSTM over
the embeddings inside a loop, joined with the loop's own features, gives the loop's embedding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .loop_trees import LOOP_FEATURES, Level, LoopTrees


class TreeNetwork(nn.Module):
    """Features of statements and programs, and loop trees, to one number per program."""

    def __init__(self, statement_features: int, program_features: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.statement = nn.Sequential(
            nn.Linear(statement_features, 2 * width),
            nn.ELU(),
            nn.Linear(2 * width, width),
            nn.ELU(),
        )
        self.inside = nn.LSTM(width, width, batch_first=True)
        self.loop = nn.Sequential(nn.Linear(width + LOOP_FEATURES, width), nn.ELU())
        self.program = nn.Sequential(
            nn.Linear(width + program_features, width), nn.ELU(), nn.Linear(width, 1)
        )

    def forward(self, rows: dict[str, Tensor], trees: LoopTrees) -> Tensor:
        """log(seconds / roofline) of each program."""
        leaves = self.statement(rows["statement"])
        deeper = leaves.new_zeros((0, self.width))
        for level in reversed(trees.levels):
            deeper = self._embed(level, leaves, deeper)
        result: Tensor = self.program(torch.cat([deeper, rows["program"]], dim=1))[:, 0]
        return result

    def _embed(self, level: Level, leaves: Tensor, deeper: Tensor) -> Tensor:
        """The embeddings of the loops of one level."""
        table = torch.cat([leaves, deeper, leaves.new_zeros((1, self.width))])
        none, first = len(table) - 1, len(leaves)
        numbers, is_loop, lengths = level.table
        rows = torch.where(numbers < 0, none, numbers + first * is_loop)
        states, _ = self.inside(table[rows])
        last = states[torch.arange(len(rows)), lengths - 1]
        result: Tensor = self.loop(torch.cat([last, level.rows.to(leaves.dtype)], dim=1))
        return result
