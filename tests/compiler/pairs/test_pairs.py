"""The data set of pairs: plain kernels, records, members that compute the same, a check that can
fail."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from tilecast.compiler.cli import main
from tilecast.compiler.job import model_job
from tilecast.compiler.logging import Progress
from tilecast.compiler.lowering import lower
from tilecast.compiler.options import resolve_options
from tilecast.compiler.pairs.dataset import Pair, Provenance, record
from tilecast.compiler.pairs.members import Member, languages, lower_kernel, plain_kernel
from tilecast.compiler.verify.kernels import evaluated
from tilecast.passes.loops.kernel_interface import KernelInterface
from torch import nn
from xdsl.dialects.func import FuncOp


@pytest.fixture
def kernel() -> FuncOp:
    """A linear layer at the linalg level, its weight a stored one."""
    layer = nn.Sequential(nn.Linear(24, 32), nn.ReLU()).eval()
    settings = resolve_options({"target": "c99", "stop_after": "structure"})
    module = lower(model_job(layer, (torch.randn(8, 24),), None, settings), Progress(False)).module
    functions = [op for op in module.ops if isinstance(op, FuncOp)]
    return next(op for op in functions if op.sym_name.data != "main")


def test_weights_of_plain_kernels_are_as_torch_has_them(kernel: FuncOp) -> None:
    assert "tilecast.weight" in str(kernel)
    plain = plain_kernel(kernel)
    assert "tilecast.weight" not in str(plain)
    for language in languages("sm_80"):
        interface = KernelInterface(lower_kernel(plain, language.target))
        shapes = [interface.type_of(k).get_shape() for k in interface.read]
        assert not interface.packs
        assert shapes == [(8, 24), (32, 24), (32,)]


def test_small_kernels_have_parallel_loops_too(kernel: FuncOp) -> None:
    assert "scf.parallel" in str(lower_kernel(plain_kernel(kernel), "generic"))


def test_a_record_says_what_is_passed_and_where_it_comes_from(kernel: FuncOp) -> None:
    plain = plain_kernel(kernel)
    evaluation = evaluated(plain, np.random.default_rng(0))
    c, openmp, _ = languages("sm_80")
    members = (
        Member(c, "void f(void) {}", (), ()),
        Member(openmp, "#pragma omp parallel", (("float32", (4, 8), 255),), ()),
    )
    line = record(Pair(plain, 3, evaluation, members), Provenance("m:f", "Apache-2.0", 0, ("gcc",)))
    assert json.loads(json.dumps(line)) == line
    assert [a["shape"] for a in line["arguments"]] == [[8, 24], [32, 24], [32], [8, 32]]
    assert 0 < line["arguments"][-1]["relative"] < 1e-4
    assert line["license"] == "Apache-2.0"
    assert line["provenance"]["verified_with"] == ["gcc"]
    found = line["members"]
    assert (found["c"]["parallel"], found["openmp"]["parallel"]) == (False, True)
    assert found["openmp"]["scratch"] == [{"dtype": "float32", "shape": [4, 8], "fill": 255}]


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    done = CliRunner().invoke(main, ["pairs", "examples.mlp:model", "-o", str(tmp_path)])
    assert done.exit_code == 1
    assert "no empty folder" in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.slow
def test_members_agree_and_the_check_finds_a_wrong_one(tmp_path: Path) -> None:
    folder = tmp_path / "pairs"
    arguments = ["pairs", "examples.mlp:model", "-o", str(folder), "--json"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in (folder / "pairs.jsonl").read_text().splitlines()]
    assert len(lines) == 3
    for line in lines:
        assert set(line["members"]) == {"c", "openmp", "cuda"}
        for member in line["members"].values():
            assert (folder / member["file"]).read_text() == member["source"]
            assert all(0 <= float(row["margin"]) <= 1 for row in member["verified"])
    check = [sys.executable, "check.py", lines[1]["function"]]
    right = subprocess.run(check, cwd=folder, capture_output=True, text=True)
    assert right.returncode == 0, right.stderr
    assert right.stdout.count(": right") == 3
    wrong = folder / lines[1]["members"]["cuda"]["file"]
    text = wrong.read_text()
    assert "0.0f" in text
    wrong.write_text(text.replace("0.0f", "0.5f"))
    found = subprocess.run(check, cwd=folder, capture_output=True, text=True)
    assert found.returncode == 1
    assert "cuda: WRONG" in found.stdout
