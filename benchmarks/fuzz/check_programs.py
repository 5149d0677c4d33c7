"""Random affine programs under random legal schedules and tilecast's own, compared with Python."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from .isolated import run_isolated
from .minimize import minimized
from .program_cases import ProgramCase, ProgramOutcome, run_cases, steps_of
from .random_program import RandomProgram
from .report import Failure, Report

BATCH = 32
BAD = ("mismatch", "crash")
DIED = ProgramOutcome(0, "crash", "the process died")


def run_apart(cases: Sequence[ProgramCase]) -> list[ProgramOutcome]:
    """The outcomes from another process, which may die; what kills it is found by halves."""
    return run_isolated(run_cases, cases, "", DIED)


def kind_of(outcome: ProgramOutcome) -> str:
    """What makes two failures the same: the kind of result, and the error without its numbers."""
    if outcome.status != "crash":
        return outcome.status
    return re.sub(r"\d+|%\w+|'[^']*'", "#", outcome.reason)[:80]


def smallest(case: ProgramCase, outcome: ProgramOutcome) -> Failure:
    """The failure of a case with as few steps of its schedule and lines as show it."""
    kind = kind_of(outcome)

    def fail(candidates: list[ProgramCase]) -> list[bool]:
        return [kind_of(found) == kind for found in run_apart(candidates)]

    if outcome.schedule and outcome.schedule != "original":
        named = replace(case, schedule=outcome.schedule)
        if fail([named]) == [True]:
            case = named
    if case.schedule == "random" and fail([replace(case, schedule="auto")]) == [True]:
        case = replace(case, schedule="auto")
    if case.schedule not in ("random", "auto"):
        left = minimized(
            steps_of(case.schedule),
            lambda many: fail([replace(case, schedule="; ".join(steps)) for steps in many]),
        )
        case = replace(case, schedule="; ".join(left))
    numbers = RandomProgram(case.seed).numbers() if case.kept is None else list(case.kept)
    kept = minimized(
        numbers, lambda many: fail([replace(case, kept=tuple(nodes)) for nodes in many])
    )
    case = replace(case, kept=tuple(kept))
    (last,) = run_apart([case])
    text = RandomProgram(case.seed).text(case.kept)
    return Failure(case.seed, last.status, last.reason, text, command(case))


def command(case: ProgramCase) -> str:
    """The command line that runs one case."""
    nodes = "" if case.kept is None else f" --steps {','.join(map(str, case.kept))}"
    return (
        f"python -m benchmarks.fuzz programs --seed {case.seed}{nodes} --schedule '{case.schedule}'"
    )


def check_programs(cases: Sequence[ProgramCase], minimize: bool = True) -> Iterator[Report]:
    """The report so far, after every batch of programs."""
    report = Report()
    for first in range(0, len(cases), BATCH):
        part = cases[first : first + BATCH]
        for case, outcome in zip(part, run_apart(part), strict=True):
            report.counts[outcome.status] += 1
            report.counts["compared"] += outcome.ran
            if outcome.status == "refused":
                report.refusals[re.sub(r"\d+|'[^']*'", "#", outcome.reason)[:120]] += 1
            if outcome.status in BAD:
                text = RandomProgram(case.seed).text(case.kept)
                full = Failure(case.seed, outcome.status, outcome.reason, text, command(case))
                report.failures.append(smallest(case, outcome) if minimize else full)
        report.seeds += len(part)
        yield report
