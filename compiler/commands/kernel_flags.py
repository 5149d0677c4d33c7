"""Flags of the verbs that take kernels: sizes, and a schedule in a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from ...dialects.errors import InvalidInputError, OptionError

Command = TypeVar("Command", bound=Callable[..., Any])


def kernel_flags(command: Command) -> Command:
    """Add `--size NAME=VALUE` and `--schedule FILE`."""
    command = click.option(
        "--schedule",
        type=click.Path(path_type=Path),
        help="File of schedule steps, one a line, for a kernel; empty: the order as written.",
    )(command)
    return click.option(
        "--size",
        "sizes",
        multiple=True,
        metavar="NAME=VALUE",
        help="Value of an integer parameter of a kernel; repeatable.",
    )(command)


def kernel_keywords(sizes: Sequence[str], schedule: Path | None) -> dict[str, Any]:
    """The arguments of `tilecast.compile` that the flags stand for; only those given."""
    keywords: dict[str, Any] = {}
    if sizes:
        keywords["sizes"] = dict(map(parse_size, sizes))
    if schedule is not None:
        try:
            keywords["schedule"] = schedule.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInputError(f"cannot read a schedule from {schedule}: {error}") from error
    return keywords


def parse_size(text: str) -> tuple[str, int]:
    """("n", 100) of "n=100"."""
    name, equals, value = text.partition("=")
    if not equals or not value.strip().isdecimal():
        raise OptionError(f"--size {text}: expected NAME=VALUE, such as n=100")
    return name.strip(), int(value)
