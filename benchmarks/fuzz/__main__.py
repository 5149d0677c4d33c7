"""`python -m benchmarks.fuzz models|programs`: random inputs, compared with what they mean.

Failures go to stdout, each with a command that repeats it; exit status 1 where there was one.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

import click

from .check_models import Choice, check_models, whole
from .check_parsers import mutate_target
from .check_programs import check_programs
from .log import RESULTS, RangeLog, totals
from .parsers import TARGETS
from .program_cases import ProgramCase
from .report import Report

COMMON = (
    click.option("--count", default=None, type=int, help="Consecutive seeds. [default: 1]"),
    click.option("--seed", default=0, show_default=True, help="The first seed."),
    click.option("--steps", default="", help="Only these numbers, as a failure shows them."),
    click.option("--minimize/--no-minimize", default=None, help="Make failures small."),
    click.option("--log", is_flag=True, help=f"Add the range of seeds to {RESULTS.name}."),
    click.option("--resume", is_flag=True, help="--log, from the seed after all logged ones."),
)


def with_common(function: Any) -> Any:
    """Add the options of both commands."""
    for option in reversed(COMMON):
        function = option(function)
    return function


@click.group()
def main() -> None:
    """Random models and affine programs through the compiler."""


@main.command()
@with_common
@click.option("--target", default="native", show_default=True)
def models(
    count: int | None,
    seed: int,
    steps: str,
    minimize: bool | None,
    log: bool,
    resume: bool,
    target: str,
) -> None:
    """Random graphs of torch functions, compared with eager PyTorch in float64."""
    seed = RangeLog.end(RESULTS, "models") if resume else seed
    choices: Iterable[Choice] = map(whole, range(seed, seed + (count or 1)))
    if steps:
        choices = [(seed, tuple(int(k) for k in steps.split(",")))]
    small = count is not None if minimize is None else minimize
    found = check_models(choices, target, small)
    finish(found, RangeLog(RESULTS, "models", seed) if log or resume else None)


@main.command()
@with_common
@click.option("--schedule", default="random", help='"random", "auto", or steps: "a(..); b(..)".')
def programs(
    count: int | None,
    seed: int,
    steps: str,
    minimize: bool | None,
    log: bool,
    resume: bool,
    schedule: str,
) -> None:
    """Random loops under random legal schedules, compared with Python."""
    seed = RangeLog.end(RESULTS, "programs") if resume else seed
    kept = tuple(int(k) for k in steps.split(",")) if steps else None
    cases = [ProgramCase(seed + k, kept, schedule) for k in range(count or 1)]
    small = count is not None if minimize is None else minimize
    found = check_programs(cases, small)
    finish(found, RangeLog(RESULTS, "programs", seed) if log or resume else None)


@main.command()
@click.argument("names", nargs=-1, type=click.Choice(list(TARGETS)))
@click.option("--runs", default=1000, show_default=True, help="Inputs per target.")
@click.option("--seconds", default=60, show_default=True, help="Per target at most.")
@click.option("--seed", default=0, show_default=True)
def parsers(names: tuple[str, ...], runs: int, seconds: int, seed: int) -> None:
    """Damaged files and text to everything that reads some."""
    bad = 0
    for name in names or tuple(TARGETS):
        findings = mutate_target(name, runs, seconds, seed)
        print(f"{name}: {findings.runs} inputs, slowest {findings.slowest:.1f} s")
        for place, data in findings.found.items():
            print(f"  {place}: {data[:300]!r}")
        bad += len(findings.found)
    sys.exit(1 if bad else 0)


@main.command("totals")
def show_totals() -> None:
    """What all logged runs together did."""
    for line in totals(RESULTS):
        print(line)


def finish(reports: Iterator[Report], log: RangeLog | None) -> None:
    """Print failures as they are found; log the counts after every batch."""
    start, shown, report = time.time(), 0, Report()
    for report in reports:
        for failure in report.failures[shown:]:
            print(failure, flush=True)
        shown = len(report.failures)
        seconds = time.time() - start
        print(f"{seconds:.0f} s: {dict(report.counts)}", file=sys.stderr, flush=True)
        if log is not None:
            log.save(report.seeds, seconds, report.to_json())
    sys.exit(1 if report.failures else 0)


if __name__ == "__main__":
    main()
