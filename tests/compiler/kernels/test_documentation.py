"""The worked example of docs/kernel_language.md: it runs, and prints what the text says."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

TEXT = (Path(__file__).parents[3] / "docs" / "kernel_language.md").read_text(encoding="utf-8")
EXAMPLE = TEXT[TEXT.index("## A schedule by hand") :]
IMPORTS = "import numpy as np\nimport tilecast\nfrom tilecast import f64\n"


def test_the_example_runs_and_prints_what_it_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", EXAMPLE, re.DOTALL)
    assert len(blocks) == 2
    file = tmp_path / "documented_example.py"  # the source of kernels is read from their file
    file.write_text(IMPORTS + "\n".join(blocks).replace("n = 500", "n = 37"))
    spec = importlib.util.spec_from_file_location("documented_example", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    np.testing.assert_allclose(module.C, module.A @ module.B, rtol=1e-12)
    printed = capsys.readouterr().out
    (shown,) = re.findall(r"```\n(statements:.*?)```", EXAMPLE, re.DOTALL)
    for part in shown.split("  ...\n"):
        assert part.strip() in printed
