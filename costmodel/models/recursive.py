"""A recursive LSTM over the loop tree that corrects the roofline, with the program's features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..features.nests import Array
from ..features.program import TINY
from ..features.statement import STATEMENT_NAMES, TIMES
from .corrections import CorrectionModel
from .interface import INPUT_NAMES, Candidates
from .loop_trees import LoopTrees
from .tree_network import TreeNetwork

WIDTH = 48


@dataclass
class RecursiveModel(CorrectionModel):
    """Statements by their features, loops by what is inside of them."""

    name: str = "recursive"

    def new_network(self) -> TreeNetwork:
        """With random weights."""
        return TreeNetwork(len(STATEMENT_NAMES), len(INPUT_NAMES), WIDTH)

    def widths(self) -> dict[str, int]:
        """Features of a statement too."""
        return {"statement": len(STATEMENT_NAMES), **super().widths()}

    def inputs(self, candidates: Candidates) -> dict[str, Array]:
        """A row per statement too."""
        rows = np.concatenate([logarithmic(s) for s in candidates.statements])
        return {"statement": rows, **super().inputs(candidates)}

    def structure(self, candidates: Candidates) -> LoopTrees:
        """The loop trees."""
        return LoopTrees.of(candidates.programs)


def logarithmic(rows: Array) -> Array:
    """Statement features with the logarithms of seconds."""
    times = len(TIMES) + 1
    return np.concatenate([np.log(rows[:, :times] + TINY), rows[:, times:]], axis=1)
