"""Size and load time of the report of MiniLM: `python -m benchmarks.report_page --output FILE`.

The page says itself how long after the start of its navigation everything is in place; the time of
the whole browser, from its start to its end, bounds it from above.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import tilecast
from tilecast.codegen.package import read_package
from tilecast.compiler.report.collect import Extras
from tilecast.compiler.report.costs import predicted_costs
from tilecast.compiler.report.page import write_page

from examples import minilm

from .machine import result_head

BROWSER = shutil.which("chromium") or shutil.which("google-chrome") or "chromium"
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--dump-dom")
NOW = "<script>document.body.dataset.ready = performance.now()</script></body>"
VIEWS = ("overview", "graph", "kernels", "costs", "memory", "files")


def load_times(page: Path, view: str, folder: Path) -> tuple[float, float]:
    """Milliseconds until a view is in place, and seconds of the browser."""
    timed = folder / "timed.html"
    timed.write_text(page.read_text(encoding="utf-8").replace("</body>", NOW), encoding="utf-8")
    command = [BROWSER, *FLAGS, f"--user-data-dir={folder / 'profile'}", f"{timed.as_uri()}#{view}"]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - start
    found = re.search(r'data-ready="([\d.]+)"', done.stdout)
    if found is None:
        raise RuntimeError(f"the page did not say when it was ready: {done.stderr[-500:]}")
    return float(found[1]), seconds


def measured(page: Path, repeats: int) -> dict[str, Any]:
    """The shortest and the longest times of every view."""
    rows = {}
    with tempfile.TemporaryDirectory(prefix="tilecast-report-") as name:
        load_times(page, "overview", Path(name))  # makes the browser's profile
        for view in VIEWS:
            times = [load_times(page, view, Path(name)) for _ in range(repeats)]
            ready, whole = zip(*times, strict=True)
            rows[view] = {
                "ready_ms": [min(ready), max(ready)],
                "browser_s": [min(whole), max(whole)],
            }
    return rows


def main() -> None:
    """Compile, write the page, open it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--package", type=Path, help="A saved MiniLM; default: it is compiled.")
    parser.add_argument("--page", type=Path, help="Where the page stays.")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path, help="JSON file to write")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tilecast-report-") as name:
        package = options.package
        if package is None:
            package = tilecast.compile(*minilm.model(), name="minilm").save(Path(name) / "out")
        stored, page = read_package(package), options.page or Path(name) / "report.html"
        start = time.perf_counter()
        write_page(stored, page, Extras(costs=predicted_costs(stored, "pretrained")))
        result = {
            **result_head("benchmarks.report_page"),
            "bytes": page.stat().st_size,
            "seconds_to_write": round(time.perf_counter() - start, 2),
            "views": measured(page, options.repeats),
        }
    text = json.dumps(result, indent=1)
    print(text)
    if options.output is not None:
        options.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
