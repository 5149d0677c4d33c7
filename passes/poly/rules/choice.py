"""What a search may vary about the schedule that the rules make, as data and as text.

    rules(tile_rows=6, tile_vectors=2, depth=256)

The rules are told of it by the machine: a `TunedMachine` is the target with other sizes, and with
the numbers to prefer to the rules' own. Fields at their defaults are not written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args, get_type_hints

from ....costmodel.hardware import Machine
from ....dialects.errors import IllegalScheduleError
from ....dialects.schedule import Step, parse_steps

Answer = Literal["rule", "always", "never"]
Parallel = Literal["rule", "always", "inner", "never"]
TEXT = re.compile(r"rules\((.*)\)")


@dataclass(frozen=True)
class RuleChoice:
    """One schedule of the rules; 0 and "rule" leave a decision to them.

    `registers` and `cache` are the shares of the registers and of the second-level cache to count
    on. `tile_rows` x `tile_vectors` is the register tile of products, `window_blocks` the most
    blocks of channels in a tile of a convolution. `vectors` are done per iteration where nothing
    is accumulated, `unroll` of them at most as straight code where one statement is alone, `chains`
    of them in a factored reduction. Long reductions are cut into blocks of about `depth` terms
    (`cut`); operands whose vectors are not contiguous are copied to panels (`copy`). `swap` puts
    the loop over columns outside of that over blocks of rows. `parallel` is "inner" for the second
    loop that threads could share.
    """

    registers: float = 1.0
    cache: float = 1.0
    tile_rows: int = 0
    tile_vectors: int = 0
    window_blocks: int = 0
    vectors: int = 0
    unroll: int = 0
    chains: int = 0
    depth: int = 0
    cut: Answer = "rule"
    copy: Answer = "rule"
    swap: bool = False
    parallel: Parallel = "rule"

    def __str__(self) -> str:
        changed = [f for f in fields(self) if getattr(self, f.name) != f.default]
        return f"rules({', '.join(f'{f.name}={getattr(self, f.name)}' for f in changed)})"

    @staticmethod
    def parse(text: str) -> RuleChoice:
        """The choice that `text` was made of; IllegalScheduleError for other text."""
        match = TEXT.fullmatch(text)
        given = [part.partition("=") for part in match[1].split(", ") if part] if match else []
        if match is None or len({name for name, _, _ in given}) != len(given):
            raise IllegalScheduleError(f"expected rules(name=value, ...), found {text!r:.80}")
        return RuleChoice(**{name: _value(name, value) for name, _, value in given})

    def applied_to(self, machine: Machine) -> TunedMachine:
        """The machine as the rules are to see it."""
        given = {f.name: getattr(machine, f.name) for f in fields(Machine)}
        given["l2_bytes"] = round(machine.l2_bytes * self.cache)
        given["vector_registers"] = max(4, round(machine.vector_registers * self.registers))
        return TunedMachine(**given, choice=self)


@dataclass(frozen=True)
class TunedMachine(Machine):
    """A machine with what to prefer to the rules' own decisions."""

    choice: RuleChoice = RuleChoice()


def choice_of(machine: Machine) -> RuleChoice:
    """What to prefer on `machine`: nothing, unless it is a `TunedMachine`."""
    return machine.choice if isinstance(machine, TunedMachine) else RuleChoice()


def parse_recorded(text: str) -> tuple[RuleChoice | None, list[Step]]:
    """A recorded schedule: `rules(..)`, steps that take the place of the rules' own, or both."""
    first, _, rest = text.partition("\n")
    if not first.startswith("rules("):
        return None, parse_steps(text)
    return RuleChoice.parse(first), parse_steps(rest)


# Shares beyond the machine's, or tiles beyond its registers, may be of use; absurd ones are not.
LIMITS: dict[str, tuple[float, float]] = {
    "registers": (0.1, 4.0),
    "cache": (0.01, 64.0),
    "tile_rows": (0, 64),
    "tile_vectors": (0, 16),
    "window_blocks": (0, 16),
    "vectors": (0, 64),
    "unroll": (0, 64),
    "chains": (0, 16),
    "depth": (0, 65536),
}


def _value(name: str, text: str) -> Any:
    """The value of a field; IllegalScheduleError where it is none."""
    kind = get_type_hints(RuleChoice).get(name)
    try:
        if kind is bool:
            return {"True": True, "False": False}[text]
        if kind in (int, float):
            value = kind(text)
            low, high = LIMITS[name]
            if low <= value <= high:
                return value
        elif text in get_args(kind):
            return text
    except (ValueError, KeyError):
        pass
    raise IllegalScheduleError(f"rules: {name}={text!r:.40} is not a choice")
