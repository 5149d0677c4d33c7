"""The GPU harness from preparation to results, on the CPU: sources, shims, checks, the table."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tilecast.benchmarks.gpu.cells import modules, products
from tilecast.benchmarks.gpu.prepare import folder_name, prepare


def test_cells_have_folders_of_their_own() -> None:
    names = [folder_name(f"{cell.suite}-{cell.name}") for cell in (*products(), *modules())]
    assert len(set(names)) == len(names)


@pytest.mark.slow
def test_prepared_cells_are_built_checked_and_listed(tmp_path: Path) -> None:
    products_of = ("u4:g128", "i8 int8", "e4m3 fp8")
    wanted = (*(f"{name} 17x72x256" for name in products_of), "softmax f16", "matmul 48 f16")
    cells = [c for c in (*products(), *modules()) if c.suite == "check" and c.name in wanted]
    assert len(cells) == len(wanted)
    prepare(cells, tmp_path, "sm_89")
    results = tmp_path / "results.json"
    command = [sys.executable, str(tmp_path / "run.py"), "--emulate", "--output", str(results)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(results.read_text())["rows"]
    assert sorted(row["name"] for row in rows) == sorted(wanted)
    assert all(row["error"] <= 5e-3 and row["ms"] > 0 for row in rows)

    wrong = tmp_path / folder_name("check-u4:g128 17x72x256") / "product.cu"
    text = wrong.read_text()
    assert "__syncthreads();" in text
    wrong.write_text(text.replace("__syncthreads();", ";"))
    (wrong.parent / "emulated.so").unlink()
    done = subprocess.run([*command, "--cells", "17x72x256"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "bench_run answers" in done.stdout
