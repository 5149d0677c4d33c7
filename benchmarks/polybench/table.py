"""The result of a run as a table of speedups over gcc, with geometric means."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rich.table import Table

from .anchors import load_anchors
from .variants import GCC, POLLY

Row = dict[str, Any]
OURS = ("auto", "search")
CAPTION = (
    "speedups over gcc; vectorized is the original order through our vectorizer (code generation "
    "alone), schedules the gain of ours over that; * measured on another machine"
)


def seconds(row: Row, variant: str) -> float | None:
    """Median seconds of a variant, where it ran."""
    found: float | None = row.get("variants", {}).get(variant, {}).get("median_s")
    return found


def baseline_seconds(row: Row) -> float | None:
    """gcc on the form of the untransformed nest that it does better."""
    return min((t for name in GCC if (t := seconds(row, name)) is not None), default=None)


def speedup(*variants: str) -> Callable[[Row], float | None]:
    """The speedup over gcc of the fastest of `variants`."""

    def of(row: Row) -> float | None:
        base = baseline_seconds(row)
        times = [t for t in (seconds(row, v) for v in variants) if t is not None]
        return base / min(times) if base is not None and times else None

    return of


def schedule_gain(row: Row) -> float | None:
    """What our fastest schedule gains over the original order, both through our vectorizer."""
    plain, ours = speedup("vectorized")(row), speedup(*OURS)(row)
    return ours / plain if plain is not None and ours is not None else None


def blas_share(row: Row) -> float | None:
    """Flop rate of our fastest variant over that of OpenBLAS' dgemm."""
    times = [t for v in OURS if (t := seconds(row, v)) is not None]
    if "dgemm_flops" not in row or not times:
        return None
    share: float = row["flops"] / min(times) / row["dgemm_flops"]
    return share


def anchor(column: str) -> Callable[[Row], float | None]:
    """A column of the anchors."""
    table = load_anchors()

    def of(row: Row) -> float | None:
        return table.get(row["kernel"], {}).get(column)

    return of


COLUMNS: dict[str, Callable[[Row], float | None]] = {
    "vectorized": speedup("vectorized"),
    "auto": speedup("auto"),
    "untimed": speedup("untimed"),
    "search": speedup("search"),
    "ours": speedup(*OURS),
    "schedules": schedule_gain,
    "polly": speedup(*POLLY),
    "of dgemm": blas_share,
    "Pluto*": anchor("best_pluto"),
    "any peer*": anchor("best_any"),
}


def geometric_mean(values: Iterable[float]) -> float | None:
    """None for no values."""
    logs = [math.log(v) for v in values]
    return math.exp(sum(logs) / len(logs)) if logs else None


def geometric_means(rows: Sequence[Row]) -> dict[str, float | None]:
    """Per column, over the rows that have a value."""
    return {
        name: geometric_mean(v for v in map(column, rows) if v is not None)
        for name, column in COLUMNS.items()
    }


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def speedup_table(rows: Sequence[Row]) -> Table:
    """One row per kernel, the geometric means last."""
    table = Table("kernel", "size", "gcc s", *COLUMNS, caption=CAPTION)
    for row in rows:
        if "failed" in row:
            table.add_row(row["kernel"], row["dataset"], row["failed"][:60])
            continue
        base = baseline_seconds(row)
        cells = [_cell(column(row)) for column in COLUMNS.values()]
        table.add_row(row["kernel"], row["dataset"], f"{base:.5f}" if base else "-", *cells)
    table.add_section()
    table.add_row("geometric mean", "", "", *(_cell(v) for v in geometric_means(rows).values()))
    return table


def failures(rows: Sequence[Row]) -> list[str]:
    """What did not work, one line each."""
    lines = []
    for row in rows:
        if "failed" in row:
            lines.append(f"{row['kernel']}: {row['failed']}")
        for name, variant in row.get("variants", {}).items():
            if "failed" in variant:
                lines.append(f"{row['kernel']}, {name}: {variant['failed'].splitlines()[0]}")
        for kind, detail, schedule in row.get("search", {}).get("failures", []):
            text = " ; ".join(schedule.splitlines())
            lines.append(f"{row['kernel']}, searched, {kind}: {detail.splitlines()[:1]} [{text}]")
    return lines
