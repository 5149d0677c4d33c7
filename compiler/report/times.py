"""Times of kernels in the report: what `tilecast profile MODEL --json` printed, checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ...codegen.package import StoredPackage
from ...dialects.errors import InvalidInputError

COLUMNS = ("ms", "floor_ms", "mflop", "mbytes", "gflops", "roofline_percent")


def read_times(path: Path, package: StoredPackage) -> dict[str, Any]:
    """Columns by kernel, and the whole model's; InvalidInputError where they are of another model
    or no profile."""
    try:
        profile = json.loads(path.read_text(encoding="utf-8"))
        kernels = {row["kernel"]: {c: float(row[c]) for c in COLUMNS} for row in profile["kernels"]}
        whole = {"ms": float(profile["ms"]), "ceilings": str(profile["ceilings"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInputError(
            f"{path}: expected what `tilecast profile MODEL --json` prints, found {error!r}"
        ) from error
    known = {kernel["name"] for kernel in package.manifest["programs"][0]["kernels"]}
    if kernels.keys() != known:
        other = sorted(kernels.keys() ^ known)
        raise InvalidInputError(
            f"{path}: expected the kernels of {package.directory}, found others ({other[0]}); "
            "profile the same model with the same options"
        )
    return {"kernels": kernels, "whole": whole}
