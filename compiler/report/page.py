"""The page: a template with the report's data in it as JSON; nothing is loaded from elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ...codegen.package import StoredPackage
from ...dialects.errors import PackageError
from .collect import report_data

FOLDER = Path(__file__).parent


def page(package: StoredPackage, times: dict[str, Any] | None = None) -> str:
    """The whole HTML document, with the times of kernels where they were measured."""
    parts = {
        part: (FOLDER / f"page.{part}").read_text(encoding="utf-8")
        for part in ("html", "css", "js")
    }
    return (
        parts["html"]
        .replace("@css@", parts["css"])
        .replace("@js@", parts["js"])
        .replace("@title@", package.name)
        .replace("@data@", embedded(report_data(package, times)))
    )


def embedded(data: Any) -> str:
    """JSON that may stand inside a script element, whatever texts it holds."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def write_page(package: StoredPackage, path: Path, times: dict[str, Any] | None = None) -> None:
    """Write the page; PackageError where that fails."""
    text = page(package, times)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise PackageError(f"cannot write {path}: {error.strerror or error}") from error
