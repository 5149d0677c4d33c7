"""The page: a template with the report's data in it as JSON; nothing is loaded from elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ...codegen.package import StoredPackage
from ...dialects.errors import PackageError
from .collect import NOTHING, Extras, report_data

FOLDER = Path(__file__).parent


def page(package: StoredPackage, extras: Extras = NOTHING) -> str:
    """The whole HTML document, with what else is known of the package."""
    names = ("page.html", "page.css", "charts.js", "page.js")
    html, css, *scripts = [(FOLDER / name).read_text(encoding="utf-8") for name in names]
    return (
        html.replace("@css@", css)
        .replace("@js@", "".join(scripts))
        .replace("@title@", package.name)
        .replace("@data@", embedded(report_data(package, extras)))
    )


def embedded(data: Any) -> str:
    """JSON that may stand inside a script element, whatever texts it holds."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def write_page(package: StoredPackage, path: Path, extras: Extras = NOTHING) -> None:
    """Write the page; PackageError where that fails."""
    text = page(package, extras)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise PackageError(f"cannot write {path}: {error.strerror or error}") from error
