"""What the rules leave open, as data and as text: candidates of a schedule differ in these fields.

    registers=0.5625, tile_rows=6, depth=256

The rules are told of it by the machine: a `TunedMachine` is the target with other sizes, and with
the numbers to prefer to the rules' own. Fields at their defaults are not written; where all are,
the text is `rules`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from random import Random
from typing import Any, Literal, get_args, get_type_hints

from ....costmodel.hardware import Machine
from ....dialects.errors import IllegalScheduleError
from ....dialects.schedule import Step, parse_steps

Answer = Literal["rule", "always", "never"]
REGISTERS = (0.3125, 0.4375, 0.5625, 0.6875, 0.8125)
CACHES = (0.125, 0.25, 0.5, 2.0, 4.0, 8.0)
PARALLEL_WORK = 16384  # below this many weighted operations a kernel stays on one thread
ALWAYS_PARALLEL = 1
NO_CHANGE = "rules"


@dataclass(frozen=True)
class RuleChoice:
    """One schedule of the rules; the defaults are what they do on their own, 0 and "rule" leave a
    decision to them.

    `registers` and `caches` are shares of the machine's to count on, `vectors` that of a vector's
    width. Products copy no operand to panels without `pack`; `copy` says whether those are copied
    whose vectors are not contiguous, `cut` whether long reductions are cut into blocks of about
    `depth` terms. Threads share a kernel from `parallel_work` weighted operations on, in the second
    loop that allows it where `inner`. A product's register tile is `tile_rows` by `tile_vectors`,
    a convolution's has at most `window_blocks` blocks of channels. `wide` vectors are done per
    iteration where nothing is accumulated, `unroll` of them at most as straight code where one
    statement is alone, `chains` of them in a factored reduction. `swap` puts the loop over columns
    outside of that over blocks of rows.
    """

    registers: float = 1.0
    caches: float = 1.0
    vectors: float = 1.0
    pack: bool = True
    parallel_work: int | None = PARALLEL_WORK
    inner: bool = False
    tile_rows: int = 0
    tile_vectors: int = 0
    window_blocks: int = 0
    wide: int = 0
    unroll: int = 0
    chains: int = 0
    depth: int = 0
    cut: Answer = "rule"
    copy: Answer = "rule"
    swap: bool = False

    def __str__(self) -> str:
        changed = [f for f in fields(self) if getattr(self, f.name) != f.default]
        return ", ".join(f"{f.name}={getattr(self, f.name)}" for f in changed) or NO_CHANGE

    @staticmethod
    def parse(text: str) -> RuleChoice:
        """The choice that `text` was made of; IllegalScheduleError for other text."""
        if text == NO_CHANGE:
            return RULES
        given = [part.partition("=") for part in text.split(", ")]
        if len({name for name, _, _ in given}) != len(given):
            raise IllegalScheduleError(f"expected name=value, ..., found {text!r:.80}")
        return RuleChoice(**{name: _value(name, value) for name, _, value in given})

    def seen(self, machine: Machine) -> TunedMachine:
        """The machine that the rules plan for."""
        given = {f.name: getattr(machine, f.name) for f in fields(Machine)}
        given |= {
            "vector_bytes": round(machine.vector_bytes * self.vectors),
            "vector_registers": max(4, round(machine.vector_registers * self.registers)),
            "l1_bytes": round(machine.l1_bytes * self.caches),
            "l2_bytes": round(machine.l2_bytes * self.caches),
        }
        return TunedMachine(**given, choice=self)


RULES = RuleChoice()
ONE_THREAD = replace(RULES, parallel_work=None)


@dataclass(frozen=True)
class TunedMachine(Machine):
    """A machine with what to prefer to the rules' own decisions."""

    choice: RuleChoice = RULES


def choice_of(machine: Machine) -> RuleChoice:
    """What to prefer on `machine`: nothing, unless it is a `TunedMachine`."""
    return machine.choice if isinstance(machine, TunedMachine) else RULES


def parse_recorded(text: str) -> tuple[RuleChoice | None, list[Step]]:
    """A recorded schedule: a choice, steps that take the place of the rules' own, or both lines."""
    first, _, rest = text.partition("\n")
    if first == NO_CHANGE or "=" in first.partition("(")[0]:
        return RuleChoice.parse(first), parse_steps(rest)
    return None, parse_steps(text)


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
    """A choice for training data; each field is the rules' own about every other time."""

    def one_of(usual: Any, others: Sequence[Any], share: float) -> Any:
        return rng.choice(others) if rng.random() < share else usual

    return RuleChoice(
        one_of(1.0, REGISTERS, 0.6),
        one_of(1.0, CACHES, 0.6),
        one_of(1.0, (0.5,), 0.25),
        one_of(True, (False,), 0.25),
        one_of(PARALLEL_WORK, (None, ALWAYS_PARALLEL), 0.4 if threads > 1 else 0.0),
    )


# Shares beyond the machine's, or tiles beyond its registers, may be of use; absurd ones are not.
LIMITS: dict[str, tuple[float, float]] = {
    "registers": (0.1, 4.0),
    "caches": (0.01, 64.0),
    "vectors": (0.25, 1.0),
    "parallel_work": (1, 2**40),
    "tile_rows": (0, 64),
    "tile_vectors": (0, 16),
    "window_blocks": (0, 16),
    "wide": (0, 64),
    "unroll": (0, 64),
    "chains": (0, 16),
    "depth": (0, 65536),
}


@cache
def _kinds() -> dict[str, Any]:
    return get_type_hints(RuleChoice)


def _value(name: str, text: str) -> Any:
    """The value of a field; IllegalScheduleError where it is none."""
    kind = _kinds().get(name)
    try:
        if kind is bool or text == "None":
            value = {"True": True, "False": False, "None": None}[text]
            if value is not None or type(None) in get_args(kind):
                return value
        elif name in LIMITS:
            number = float(text) if kind is float else int(text)
            low, high = LIMITS[name]
            if low <= number <= high:
                return number
        elif text in get_args(kind):
            return text
    except (ValueError, KeyError):
        pass
    raise IllegalScheduleError(f"{name}={text!r:.40} is not a choice of the rules")
