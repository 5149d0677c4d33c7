"""The documentation builds, every page is in the navigation, and no link leads nowhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# What the examples of a page take for granted.
BEFORE = {"kernel_language.md": "import numpy as np\narray = np.eye(100)\n"}


def test_every_page_is_in_the_navigation() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    docs = ROOT / "docs"
    pages = {str(path.relative_to(docs)) for path in docs.rglob("*.md")}
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
    for stage in (ROOT / "docs" / "stages").glob("*.md"):
        text = (tmp_path / "site" / "stages" / f"{stage.stem}.html").read_text(encoding="utf-8")
        assert "linear_relu_0" in text or stage.stem in ("import", "simplify"), stage.stem
        assert "<!-- ir" not in text


@pytest.mark.slow
@pytest.mark.parametrize("page", ["index.md", "kernel_language.md"])
def test_the_examples_of_pages_run(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    found = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert found
    script = tmp_path / "page.py"  # kernels are read from files
    script.write_text(BEFORE.get(page, "") + "\n".join(found))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
