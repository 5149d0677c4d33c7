"""The evaluation as Markdown with figures: `docs/costmodel.md`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from ..features.nests import Array
from .metrics import METRICS, Figure, Ranked

Curve = Sequence[tuple[int, Figure]]


def table(
    results: Mapping[str, Mapping[str, Figure]], columns: Collection[str] = tuple(METRICS)
) -> str:
    """One row per model, one of `columns` per metric, 95% intervals in brackets."""
    lines = ["| model | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    for model, found in results.items():
        cells = [f"{f.value:.3f} [{f.low:.3f}, {f.high:.3f}]" for f in found.values()]
        lines.append(f"| {model} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def family_table(tasks: Mapping[str, Ranked], family_of: Mapping[str, str]) -> str:
    """Tasks, samples, top-1, top-5 and Spearman of every held-out family."""
    lines = [
        "| held-out family | tasks | samples | top-1 | top-5 | spearman |",
        "|---|---|---|---|---|---|",
    ]
    for family in sorted(set(family_of.values())):
        members = [t for name, t in tasks.items() if family_of[name] == family]
        if not members:
            continue
        count = sum(len(t.measured) for t in members)
        values = [METRICS[m](members) for m in ("top-1", "top-5", "spearman")]
        cells = " | ".join(f"{v:.3f}" for v in values)
        lines.append(f"| {family} | {len(members)} | {count} | {cells} |")
    return "\n".join(lines)


def draw_figures(
    folder: Path,
    tasks: Mapping[str, Ranked],
    importance: Mapping[str, float],
    curves: Mapping[str, Curve],
) -> None:
    """predicted.png, calibration.png, importance.png and learning_curve.png in `folder`."""
    import matplotlib  # an extra: only this report draws

    matplotlib.use("Agg")
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    measured = np.concatenate([t.measured for t in tasks.values()])
    predicted = np.concatenate([t.predicted for t in tasks.values()])

    def save(name: str) -> None:
        # Without a date, equal results give equal files.
        pyplot.savefig(folder / name, dpi=80, bbox_inches="tight", metadata={"Software": None})
        pyplot.close()

    pyplot.figure(figsize=(5, 5))
    pyplot.loglog(measured, predicted, ".", markersize=3)
    limits = [min(measured.min(), predicted.min()), max(measured.max(), predicted.max())]
    pyplot.loglog(limits, limits, "k-", linewidth=0.7)
    pyplot.xlabel("measured seconds")
    pyplot.ylabel("predicted seconds")
    save("predicted.png")

    pyplot.figure(figsize=(5, 4))
    middle, ratios = calibration(measured, predicted)
    pyplot.semilogx(middle, ratios, "o-")
    pyplot.axhline(1.0, color="k", linewidth=0.7)
    pyplot.xlabel("predicted seconds")
    pyplot.ylabel("measured / predicted, median")
    save("calibration.png")

    pyplot.figure(figsize=(6, 5))
    names = list(importance)[:20][::-1]
    pyplot.barh(names, [importance[n] for n in names])
    pyplot.xlabel("share of gain")
    save("importance.png")

    pyplot.figure(figsize=(5, 4))
    for label, curve in curves.items():
        counts = [n for n, _ in curve]
        pyplot.plot(counts, [f.value for _, f in curve], "o-", label=label)
        pyplot.fill_between(
            counts, [f.low for _, f in curve], [f.high for _, f in curve], alpha=0.15
        )
    pyplot.xlabel("families trained on")
    pyplot.legend()
    save("learning_curve.png")


def calibration(measured: Array, predicted: Array, bins: int = 10) -> tuple[Array, Array]:
    """(median predicted seconds, median of measured over predicted) of equally full bins."""
    groups = np.array_split(np.argsort(predicted), bins)
    middle = np.array([np.median(predicted[g]) for g in groups if len(g)])
    ratios = np.array([np.median(measured[g] / predicted[g]) for g in groups if len(g)])
    return middle, ratios
