"""Outcomes by operator and type, and the Markdown page that lists them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime

import torch

from .batch import Outcome
from .exclusions import EXCLUDED
from .samples import DTYPES

PLACE = re.compile(r", first at the model @ \S+:\d+|1 operators of the model are not supported: ")
ORDER = ("pass", "refused", "mismatch", "crash")
HEAD = """\
# Operators that compile

`python -m benchmarks.conformance` writes this page from the operator samples of torch (OpInfo):
forward samples of every operator, compiled and compared with eager PyTorch in float64. A cell has
the number of samples that pass of those that run in eager, the reason is that of the worst one.
An empty cell: torch has no samples of that type, or they have not been run yet.
`docs/architecture.md` states the bound. Samples are spread evenly over those that torch has; per
operator there are at most {most}.

A run may be made in parts, and operators whose rules changed meanwhile be run again; the column of
operators says how far it got per type.

Written on {date} by `{command}`, torch {torch}.

"""


def by_operator(outcomes: Iterable[Outcome]) -> dict[str, dict[str, list[Outcome]]]:
    """operator -> dtype -> outcomes of the samples that run in eager."""
    table: dict[str, dict[str, list[Outcome]]] = {}
    for outcome in outcomes:
        if outcome.status != "invalid":
            table.setdefault(outcome.operator, {}).setdefault(outcome.dtype, []).append(outcome)
    return dict(sorted(table.items()))


def totals(outcomes: Iterable[Outcome]) -> dict[str, Counter[str]]:
    """dtype -> status -> number of samples."""
    counts: dict[str, Counter[str]] = {dtype: Counter() for dtype in DTYPES}
    for outcome in outcomes:
        counts[outcome.dtype][outcome.status] += 1
    return counts


def summary(outcomes: Iterable[Outcome]) -> str:
    """A Markdown table with a row per element type, and how many operators were run."""
    outcomes = list(outcomes)
    run = Counter(dtype for _, dtype in {(o.operator, o.dtype) for o in outcomes})
    heads = "type", "operators", "samples", "pass", "refused", "mismatch", "crash"
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for dtype, counts in totals(outcomes).items():
        number = sum(counts[status] for status in ORDER)
        share = f"{100 * counts['pass'] / number:.1f} %" if number else "-"
        rest = " | ".join(str(counts[status]) for status in ORDER[1:])
        lines.append(f"| {dtype} | {run[dtype]} | {number} | {counts['pass']} ({share}) | {rest} |")
    return "\n".join(lines) + "\n"


def page(outcomes: list[Outcome], command: str) -> str:
    """The text of docs/op_support.md, made by `command`."""
    table = by_operator(outcomes)
    longest = {
        dtype: max((len(types.get(dtype, [])) for types in table.values()), default=0)
        for dtype in DTYPES
    }
    most = ", ".join(f"{count} of {dtype}" for dtype, count in longest.items() if count)
    lines = [
        HEAD.format(
            most=most, date=datetime.now(UTC).date(), command=command, torch=torch.__version__
        )
        + summary(outcomes),
        "",
        "| operator | " + " | ".join(DTYPES) + " | reason |",
    ]
    lines.append("|---" * (len(DTYPES) + 2) + "|")
    for operator, types in table.items():
        cells = [cell(types.get(dtype, [])) for dtype in DTYPES]
        failed = [o for listed in types.values() for o in listed if o.status != "pass"]
        lines.append(f"| {operator} | {' | '.join(cells)} | {reason(failed)} |")
    lines += ["", "## Out of scope", "", "| operator | why |", "|---|---|"]
    lines += [f"| {name.replace('*', chr(92) + '*')} | {why} |" for name, why in EXCLUDED.items()]
    return "\n".join(lines) + "\n"


def cell(outcomes: list[Outcome]) -> str:
    """7/9, and what is worse than refused."""
    if not outcomes:
        return ""
    counts = Counter(outcome.status for outcome in outcomes)
    text = f"{counts['pass']}/{len(outcomes)}"
    bad = [f"{counts[status]} {status}" for status in ORDER[2:] if counts[status]]
    return ", ".join([text, *bad])


def reason(failed: list[Outcome]) -> str:
    """Why the first failing sample fails, in one cell of the table."""
    if not failed:
        return ""
    worst = max(failed, key=lambda outcome: ORDER.index(outcome.status))
    text = PLACE.sub("", worst.reason)[:120]
    return f"{worst.status}: {text}".replace("|", "/").replace("\n", " ")
