"""What compilers make of kernels: samples that need no run, for models of registers and spills.

objects.jsonl in a data set holds one `ObjectSample` a line: the words of the loops of a kernel and
what the compiler made of them (assembly of C objects, the report of ptxas for GPUs).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...dialects.errors import InvalidInputError

LABELS = ("registers", "spills", "instructions")
LARGEST = 10_000_000
MOST_LINES = 100_000


@dataclass(frozen=True)
class ObjectSample:
    """One kernel under one schedule. `family` is what a split keeps together; `target` is the
    instruction set; `lines` are those of `LoopText`, with its counts of live values.

    C objects: different vector registers in use, vector registers stored to the stack. GPUs:
    registers of a thread, bytes of spills. `instructions` are those of the machine code.
    """

    family: str
    program: str
    target: str
    lines: tuple[str, ...]
    live_vectors: int
    live_integers: int
    registers: int
    spills: int
    instructions: int

    def __post_init__(self) -> None:
        texts = (self.family, self.program, self.target, *self.lines)
        numbers = (self.live_vectors, self.live_integers, *(getattr(self, n) for n in LABELS))
        if not all(isinstance(t, str) for t in texts) or len(self.lines) > MOST_LINES:
            raise TypeError("family, program, target and lines are texts")
        if not all(type(n) is int and 0 <= n < LARGEST for n in numbers):
            raise TypeError(f"expected counts below {LARGEST}, found {numbers}")


def object_of(data: Mapping[str, Any]) -> ObjectSample:
    """The sample of a line; InvalidInputError for other data."""
    try:
        return ObjectSample(**{**data, "lines": tuple(data["lines"])})
    except (TypeError, KeyError) as error:
        raise InvalidInputError(f"a line of objects.jsonl is no sample: {error}") from error
