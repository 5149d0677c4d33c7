"""The documentation builds, every page is in the navigation, and no link leads nowhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_every_page_is_in_the_navigation() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = {path.name for path in (ROOT / "docs").glob("*.md")}
    assert [page for page in sorted(pages) if f": {page}\n" not in text] == []


@pytest.mark.slow
def test_the_site_builds_without_warnings(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings")
    (ROOT / "build" / "typing").mkdir(parents=True, exist_ok=True)
    package = ROOT / "build" / "typing" / "tilecast"
    if not package.exists():
        package.symlink_to(Path("..") / "..")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site" / "api.html").read_text(encoding="utf-8")
    assert "tilecast.compiler.driver.compile" in page
    assert "BrokenDependenceError" in page
