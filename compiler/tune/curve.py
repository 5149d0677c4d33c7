"""The course of a tuning run as a file: data as JSON, a picture as PNG or SVG."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ...dialects.errors import OptionError

Curve = Sequence[tuple[float, int, float]]  # seconds, trials, time over that of the default
PICTURES = (".png", ".svg")


def check_curve_path(path: Path) -> None:
    """OptionError before anything is measured, where `path` names no kind of file that is written,
    or a picture and matplotlib is missing."""
    if path.suffix not in (".json", *PICTURES):
        raise OptionError(f"curve: expected a name that ends in .json, .png or .svg, got {path}")
    if path.suffix in PICTURES:
        try:
            import matplotlib  # noqa: F401  an extra
        except ImportError as error:
            raise OptionError(f"curve {path}: pictures need matplotlib ({error})") from error


def write_curve(curve: Curve, model: str, budget: str, path: Path) -> None:
    """Write the file."""
    if path.suffix == ".json":
        rows = [dict(zip(("seconds", "trials", "ratio"), point, strict=True)) for point in curve]
        text = json.dumps({"model": model, "budget": budget, "curve": rows}, indent=1)
        path.write_text(text, encoding="utf-8")
        return
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    pyplot.figure(figsize=(6, 4))
    pyplot.step([n for _, n, _ in curve], [ratio for _, _, ratio in curve], where="post")
    pyplot.axhline(1.0, color="k", linewidth=0.7)
    pyplot.xlabel("schedules measured")
    pyplot.ylabel("time of all kernels over the default's")
    pyplot.title(f"{model}, budget {budget}")
    pyplot.savefig(path, dpi=100, bbox_inches="tight")
    pyplot.close()
