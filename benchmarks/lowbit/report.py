"""Results of the suite: a file that runs add to, a table, cliffs, heat maps."""

from __future__ import annotations

import json
from collections.abc import Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tilecast.dialects.quant import parse_format

from ..machine import describe_machine, now
from .cells import FAMILIES

Row = dict[str, Any]
CLIFF = 1.3  # a cell is a cliff if it is slower than this times the line between its neighbours
METHOD = (
    "every call reads another copy of the weight; all copies of a cell have at least 128 MiB. "
    "GB/s counts packed codes, scales and zero points. Medians of turns, engines interleaved."
)


@dataclass
class Results:
    """Rows by the names of their cells."""

    cells: dict[str, Row] = field(default_factory=dict)

    @staticmethod
    def read(path: Path | None) -> Results:
        """What `path` has; nothing where it does not exist."""
        if path is None or not path.exists():
            return Results()
        return Results(json.loads(path.read_text())["cells"])

    def add(self, rows: dict[str, Row], command: str) -> None:
        """Put rows in, naming when and how they were measured."""
        date = now()
        self.cells |= {
            name: {**row, "date": date, "command": command} for name, row in rows.items()
        }

    def only(self, names: Set[str]) -> Results:
        """The rows of some cells."""
        return Results({name: row for name, row in self.cells.items() if name in names})

    def write(self, path: Path | None) -> None:
        """To JSON."""
        if path is None:
            return
        document = {"machine": describe_machine(), "method": METHOD, "cells": self.cells}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def lines_of(results: Results) -> dict[tuple[str, str, str], dict[int, Row]]:
    """(family, activations, shape) -> bits -> row, of the families that go by bits."""
    lines: dict[tuple[str, str, str], dict[int, Row]] = {}
    for row in results.cells.values():
        family = next((f for f, names in FAMILIES.items() if row["format"] in names), "others")
        if "ms" not in row or family == "others":
            continue
        shape = f"{row['rows']}x{row['outputs']}x{row['columns']}"
        bits = parse_format(row["format"]).element.width
        lines.setdefault((family, row["activations"], shape), {})[bits] = row
    return lines


def cliffs(results: Results) -> dict[str, float]:
    """Cells over `CLIFF` times the line between the next fewer and the next more bits."""
    found = {}
    for line in lines_of(results).values():
        widths = sorted(line)
        for low, width, high in zip(widths, widths[1:], widths[2:], strict=False):
            share = (width - low) / (high - low)
            expected = (1 - share) * line[low]["ms"] + share * line[high]["ms"]
            ratio = line[width]["ms"] / expected
            if ratio > CLIFF:
                row = line[width]
                place = f"{row['rows']}x{row['outputs']}x{row['columns']}"
                found[f"{row['format']} {row['activations']} {place}"] = round(ratio, 2)
    return found


def format_report(results: Results) -> str:
    """A line per cell, then the cells that failed and the cliffs."""
    peers = sorted({peer for row in results.cells.values() for peer in row.get("peers_ms", {})})
    lines = [
        f"{'cell':<36}{'ms':>9}{'GB/s':>7}{'%':>6}{'GFLOP/s':>9}"
        + "".join(f"{peer:>12}" for peer in peers)
    ]
    for name, row in results.cells.items():
        if "ms" not in row:
            lines.append(f"{name:<36} failed: {row['failed']}")
            continue
        ratios = (row["peers_ms"].get(peer, float("nan")) / row["ms"] for peer in peers)
        lines.append(
            f"{name:<36}{row['ms']:>9.3f}{row['gbytes']:>7.1f}{row['percent']:>6.0f}"
            f"{row['gflops']:>9.0f}" + "".join(f"{ratio:>11.2f}x" for ratio in ratios)
        )
    steep = cliffs(results)
    lines.append(f"cliffs over {CLIFF}: {steep or 'none'}")
    return "\n".join(lines)


def plot(results: Results, path: Path) -> None:
    """Heat maps by family and activations: bits to the right, products down; ps per weight."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np

    lines = lines_of(results)
    kinds = sorted({key[:2] for key in lines})
    shapes = list(dict.fromkeys(key[2] for key in lines))
    figure, axes = plt.subplots(
        1, max(1, len(kinds)), figsize=(3.2 * len(kinds) + 2, 0.3 * len(shapes) + 2), squeeze=False
    )
    for axis, kind in zip(axes[0], kinds, strict=False):
        values = np.full((len(shapes), 8), np.nan)
        for (family, activations, shape), line in lines.items():
            if (family, activations) == kind:
                for bits, row in line.items():
                    weights = row["outputs"] * row["columns"] * row["rows"]
                    values[shapes.index(shape), bits - 1] = row["ms"] * 1e9 / weights
        image = axis.imshow(np.log10(values), aspect="auto", cmap="viridis")
        axis.set_title(f"{kind[0]}, {kind[1]} activations", fontsize=9)
        axis.set_xticks(range(8), [str(b) for b in range(1, 9)])
        axis.set_xlabel("bits")
        axis.set_yticks(range(len(shapes)), shapes if axis is axes[0][0] else [""] * len(shapes))
        for y, x in np.argwhere(np.isfinite(values)):
            axis.text(x, y, f"{values[y, x]:.2g}", ha="center", va="center", fontsize=5, color="w")
    figure.colorbar(image, ax=axes[0].tolist(), label="log10 of ps per weight and row")
    figure.savefig(path, dpi=150, bbox_inches="tight")
