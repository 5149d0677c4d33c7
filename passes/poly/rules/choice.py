"""What the rules leave open, as data: candidates of a schedule differ in these fields.

A choice describes a machine of other sizes to the rules, as if its registers or caches were smaller
or larger, and says what else they shall do differently.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from random import Random
from typing import Any

from ....costmodel.hardware import Machine

REGISTERS = (0.3125, 0.4375, 0.5625, 0.6875, 0.8125)
CACHES = (0.125, 0.25, 0.5, 2.0, 4.0, 8.0)
PARALLEL_WORK = 16384  # below this many weighted operations a kernel stays on one thread
ALWAYS_PARALLEL = 1


@dataclass(frozen=True)
class RuleChoice:
    """The defaults are what the rules do on their own.

    `registers` and `caches` are shares of the machine's; `vectors` that of a vector's width. `pack`
    is whether products copy their operands to panels, `parallel_work` the number of weighted
    operations from which on threads share a kernel.
    """

    registers: float = 1.0
    caches: float = 1.0
    vectors: float = 1.0
    pack: bool = True
    parallel_work: int | None = PARALLEL_WORK

    def seen(self, machine: Machine) -> Machine:
        """The machine that the rules plan for."""
        return replace(
            machine,
            vector_bytes=round(machine.vector_bytes * self.vectors),
            vector_registers=max(4, round(machine.vector_registers * self.registers)),
            l1_bytes=round(machine.l1_bytes * self.caches),
            l2_bytes=round(machine.l2_bytes * self.caches),
        )

    def __str__(self) -> str:
        default = asdict(RULES)
        other = [f"{k}={v}" for k, v in asdict(self).items() if v != default[k]]
        return ", ".join(other) or "rules"


RULES = RuleChoice()
ONE_THREAD = replace(RULES, parallel_work=None)


def alternatives(threads: int) -> Sequence[RuleChoice]:
    """The choices that a compilation weighs against the rules' own, each different in one field."""
    found = [
        replace(RULES, registers=0.5625),
        replace(RULES, caches=0.25),
        replace(RULES, caches=4.0),
        replace(RULES, vectors=0.5),
        replace(RULES, pack=False),
    ]
    if threads > 1:
        found += [ONE_THREAD, replace(RULES, parallel_work=ALWAYS_PARALLEL)]
    return found


def random_choice(threads: int, rng: Random) -> RuleChoice:
    """Any choice; each field is the rules' own about every other time."""

    def one_of(usual: Any, others: Sequence[Any], share: float) -> Any:
        return rng.choice(others) if rng.random() < share else usual

    return RuleChoice(
        one_of(1.0, REGISTERS, 0.6),
        one_of(1.0, CACHES, 0.6),
        one_of(1.0, (0.5,), 0.25),
        one_of(True, (False,), 0.25),
        one_of(PARALLEL_WORK, (None, ALWAYS_PARALLEL), 0.4 if threads > 1 else 0.0),
    )
