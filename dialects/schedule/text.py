"""Schedule steps as text, one a line, and back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from ..errors import IllegalScheduleError
from .rewrites import (
    Accumulate,
    Expand,
    Merge,
    Pack,
    Pad,
    Precompute,
    Recompute,
    Rfactor,
    SplitDomain,
    SplitReduction,
)
from .steps import (
    Bind,
    Distribute,
    Fuse,
    Parallelize,
    Rearrange,
    Reorder,
    Reverse,
    Shift,
    Skew,
    Split,
    Step,
    Tile,
    Unroll,
    UnrollAndJam,
    Vectorize,
)

_CLASSES: Sequence[type[Step]] = (
    *(SplitDomain, Merge, Accumulate, Pack, Rfactor, SplitReduction),
    *(Precompute, Expand, Recompute, Pad),
    *(Split, Tile, Reorder, Fuse, Distribute, Skew, Shift, Reverse, Rearrange),
    *(Parallelize, Unroll, UnrollAndJam, Vectorize, Bind),
)
STEPS: dict[str, type[Step]] = {c.step_name(): c for c in _CLASSES}
_POSITIVE = r"0*[1-9]\d*"
_SIGNED = {(Skew, "factor"), (Shift, "amount")}
_FROM_ZERO = {"dim", "dims", "operand", "position"}
_FREE_TEXT = {(SplitDomain, "condition"), (Rearrange, "tree")}


def parse_step(text: str) -> Step:
    """The step that prints as `text`; IllegalScheduleError for anything else."""
    match = re.fullmatch(r"\s*(\w+)\((.*)\)\s*", text)
    if match is None or match.group(1) not in STEPS:
        raise IllegalScheduleError(
            f"expected a schedule step such as split(i, 16, io, ii), found {text!r}; "
            f"steps are {', '.join(STEPS)}"
        )
    step = STEPS[match.group(1)]
    values = [v.strip() for v in match.group(2).split(",")]
    if len(values) != len(fields(step)):
        raise IllegalScheduleError(
            f"{match.group(1)} takes {len(fields(step))} arguments, found {len(values)}: {text!r}"
        )
    arguments = [_argument(step, f, v, text) for f, v in zip(fields(step), values, strict=True)]
    return step(*arguments)


def _argument(step: type[Step], field: Any, value: str, text: str) -> Any:
    match field.type:
        case "int":
            if (step, field.name) in _SIGNED:
                return _integer(value, r"-?\d+", "an integer")
            return _number(field.name, value)
        case "tuple[int, ...]":
            return tuple(_number(field.name, v) for v in value.split("+"))
        case "str":
            return value if (step, field.name) in _FREE_TEXT else _name(value, text)
        case _:
            return tuple(_name(v, text) for v in value.split("+"))


def _number(field: str, value: str) -> int:
    if field in _FROM_ZERO:
        return _integer(value, r"\d+", "a number from 0")
    return _integer(value, _POSITIVE, "a positive integer")


def _integer(value: str, pattern: str, expected: str) -> int:
    if re.fullmatch(pattern, value) is None:
        raise IllegalScheduleError(f"expected {expected}, found {value!r}")
    return int(value)


def _name(value: str, text: str) -> str:
    if re.fullmatch(r"[A-Za-z_][\w.]*", value) is None:
        raise IllegalScheduleError(f"expected a loop name, found {value!r} in {text!r}")
    return value


def parse_steps(text: str) -> list[Step]:
    """The steps of a `schedule` property."""
    return [parse_step(line) for line in text.splitlines() if line.strip()]
