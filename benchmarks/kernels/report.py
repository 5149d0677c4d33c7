"""Results as a table for people and as a file that further runs add to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..machine import describe_machine, now
from .measure import OURS, geometric_means

Rows = list[dict[str, Any]]


def format_table(suite: str, threads: int, rows: Rows) -> str:
    """Our median, GFLOP/s and GB/s with their share of the ceilings, then peers over ours."""
    peers = sorted({peer for row in rows for peer in row["median_ms"]} - {OURS})
    lines = [
        f"{suite}, {threads} threads",
        f"{'case':<24}{'ms':>10}{'GFLOP/s':>9}{'%':>5}{'GB/s':>7}{'%':>5}"
        + "".join(f"{peer:>13}" for peer in peers),
    ]
    for row in rows:
        ours = row["median_ms"].get(OURS)
        cells = "failed" if ours is None else f"{ours:>10.4f}{row['gflops']:>9.1f}"
        if ours is not None:
            cells += f"{row.get('percent_of_peak_flops', 0):>5.0f}{row['gbytes']:>7.1f}"
            cells += f"{row.get('percent_of_copy_bandwidth', 0):>5.0f}"
            cells += "".join(f"{row['ratios'].get(peer, float('nan')):>12.2f}x" for peer in peers)
        lines.append(f"{row['case']:<24}{cells}")
        lines += [f"    {engine}: {reason}" for engine, reason in row["failed"].items()]
    lines.append(f"geometric means: {geometric_means(rows)}")
    return "\n".join(lines)


def write_results(
    path: Path,
    suite: str,
    threads: int,
    command: str,
    ceilings: dict[str, float],
    rows: Rows,
) -> None:
    """Put `rows` into the file; rows of other cases, suites and thread counts stay.

    A suite is often measured in several short runs, each of which names itself in its rows.
    """
    document = json.loads(path.read_text()) if path.exists() else {"results": {}}
    run = {
        "date": now(),
        "command": command,
        "ceilings": ceilings,
    }
    document["machine"] = describe_machine()
    entry = document["results"].setdefault(f"{suite}, {threads} threads", {"rows": []})
    kept = {row["case"]: row for row in entry["rows"]}
    kept |= {row["case"]: {**row, "run": run} for row in rows}
    entry["rows"] = list(kept.values())
    entry["geometric_means"] = geometric_means(entry["rows"])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def chosen_cases(names: Sequence[str], pattern: str, part: str) -> list[str]:
    """The names that contain `pattern`; of these the part `i/n`, every n-th from the i-th."""
    index, _, count = part.partition("/")
    return [name for name in names if pattern in name][int(index) - 1 :: int(count)]
