"""What a memory budget made of a program, as plain data for reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from xdsl.dialects.builtin import StringAttr

from ....dialects.graph import GraphOp, shape_of
from ..cut_weights import CutWeights
from ..recompute.plan import Again
from .search import PatchedStage


@dataclass(frozen=True)
class PatchReport:
    """One stage that runs patch by patch: from which layer to which, its result, its grid."""

    first: str
    last: str
    kernels: int
    result: tuple[int, ...]
    grid: tuple[int, ...]
    extra: float

    @staticmethod
    def of(patched: PatchedStage, arithmetic: int) -> PatchReport:
        """The facts of a stage in a program of `arithmetic` operations."""
        stage = patched.stage
        ops = [member.op for member in stage.members]
        return PatchReport(
            _location(ops[0]),
            _location(stage.result),
            stage.end - stage.first,
            tuple(shape_of(stage.result.result)),
            patched.grid.counts,
            patched.extra / max(1, arithmetic),
        )

    def __str__(self) -> str:
        shape = "x".join(map(str, self.result))
        grid = "x".join(map(str, self.grid))
        return (
            f"  {self.first} to {self.last}: {self.kernels} kernels give {shape} "
            f"in {grid} patches, {self.extra:+.1%} arithmetic"
        )


@dataclass(frozen=True)
class RecomputeReport:
    """A tensor that is computed again instead of kept: its layer, and the one that reads it."""

    layer: str
    reader: str
    bytes: int
    extra: float

    @staticmethod
    def of(again: Again, reader: GraphOp, arithmetic: int) -> RecomputeReport:
        """The facts of a repetition in a program of `arithmetic` operations."""
        tensor = again.tensor
        return RecomputeReport(
            _location(tensor.op), _location(reader), tensor.bytes, again.extra / max(1, arithmetic)
        )

    def __str__(self) -> str:
        return (
            f"  {self.layer}: {self.bytes} bytes computed again for {self.reader}, "
            f"{self.extra:+.1%} arithmetic"
        )


@dataclass(frozen=True)
class PiecesReport:
    """A layer whose streamed weights are read in pieces."""

    layer: str
    bytes: int
    pieces: int

    @staticmethod
    def of(cut: CutWeights) -> PiecesReport:
        """The facts of a layer that was cut."""
        return PiecesReport(_location(cut.op), cut.bytes, cut.pieces)

    def __str__(self) -> str:
        return f"  {self.layer}: {self.bytes} bytes of weights read in {self.pieces} pieces"


@dataclass(frozen=True)
class MemoryChoice:
    """The bytes of the arena under a budget, next to those of the plan without one.

    `extra` is the arithmetic that is repeated, as a part of the program's `arithmetic`.
    """

    budget: int
    plain_bytes: int
    bytes: int
    arithmetic: int
    extra: float
    stages: Sequence[PatchReport]
    again: Sequence[RecomputeReport] = ()
    pieces: Sequence[PiecesReport] = ()

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return asdict(self)

    def __str__(self) -> str:
        head = (
            f"memory: {self.bytes} bytes within {self.budget}, without a budget {self.plain_bytes} "
            f"({self.plain_bytes / max(1, self.bytes):.2f} times as many); "
            f"{self.extra:+.1%} arithmetic"
        )
        return "\n".join([head, *map(str, (*self.stages, *self.again, *self.pieces))])


def _location(op: GraphOp) -> str:
    """The layer an op comes from, as far as it is known."""
    found = op.attributes.get("loc")
    return found.data.partition(" @ ")[0] if isinstance(found, StringAttr) else op.name
