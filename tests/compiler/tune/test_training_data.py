"""Schedules are drawn, samples are trained on and predicted from."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import numpy as np
import pytest
from click.testing import CliRunner
from tilecast.compiler.cli import main
from tilecast.compiler.target import native_machine
from tilecast.compiler.tune.draw import Effort, draw
from tilecast.compiler.tune.evaluation import families_needed
from tilecast.compiler.tune.training_data import read_scop
from tilecast.costmodel.data.samples import DataSet, Sample, Task
from tilecast.costmodel.speeds import estimated_speeds
from tilecast.passes.context import CompileContext
from tilecast.passes.poly.search import ScopCheck, StepSpace
from tilecast.passes.registry import load_pass
from xdsl.parser import Parser

AFFINE = """
func.func @scale(%a: memref<ROWSx30xf64>, %c: memref<ROWSx30xf64>) {
  affine.for %i = 0 to ROWS {
    affine.for %j = 0 to 30 {
      %x = affine.load %a[%i, %j] : memref<ROWSx30xf64>
      %m = arith.mulf %x, %x : f64
      affine.store %m, %c[%i, %j] : memref<ROWSx30xf64>
    }
  }
  func.return
}
"""
QUICK = Effort(schedules=6)


def scop_text(rows: int) -> str:
    context = CompileContext()
    module = Parser(context, AFFINE.replace("ROWS", str(rows))).parse_module()
    load_pass("extract-affine")().apply(context, module)
    return str(module)


def described(name: str, family: str) -> Task:
    machine = native_machine()
    return Task(name, family, machine, 1, "gcc", estimated_speeds(machine))


def test_schedules_are_drawn_once_and_the_same_again():
    scop = read_scop(scop_text(20))
    texts = [list(draw(StepSpace(scop, 4), ScopCheck(scop), QUICK, Random(7))) for _ in range(2)]
    assert texts[0] == texts[1]
    assert len(set(texts[0])) == len(texts[0]) == QUICK.schedules


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Eight programs of four families whose time is that of the roofline, times a number."""
    data = DataSet(tmp_path / "data")
    for k in range(8):
        name, text = f"scale-{k}", scop_text(20 + 10 * k)
        data.add_task(described(name, f"family{k % 4}"), text)
        scop = read_scop(text)
        rng = np.random.default_rng(k)
        for steps in draw(StepSpace(scop, 8), ScopCheck(scop), QUICK, Random(k)):
            seconds = 1e-5 * (1 + k) * (0.3 if "vectorize" in steps else 1.0)
            data.add_sample(Sample(name, steps, seconds * rng.uniform(0.9, 1.1), 0.01, 3))
    return data.folder


def test_train_evaluate_and_predict(data: Path, tmp_path: Path):
    model, report = tmp_path / "model", tmp_path / "docs" / "costmodel.md"
    run = CliRunner()
    done = run.invoke(main, ["costmodel", "train", "--data", str(data), "-o", str(model), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["families"] == 4
    done = run.invoke(
        main, ["costmodel", "eval", "--data", str(data), "--report", str(report), "--json"]
    )
    assert done.exit_code == 0, done.output
    results = json.loads(done.stdout)["results"]
    assert {"random", "roofline", "gbdt"} <= set(results)
    text = report.read_text()
    assert "| family2 |" in text
    assert "| PolyBench | mape |" in text
    assert len(list((tmp_path / "docs" / "costmodel").glob("*.png"))) == 4
    report = tmp_path / "test.md"
    command = ["costmodel", "test", "--data", str(data), "--model", str(model)]
    here = ["--machine", native_machine().name, "--report", str(report), "--json"]
    results = json.loads(run.invoke(main, [*command, *here]).stdout)
    assert {"random", "roofline", "ensemble in model"} <= set(results)
    scores = {label: found["spearman"]["value"] for label, found in results.items()}
    assert scores["ensemble in model"] > scores["random"]
    assert "| ensemble in model |" in report.read_text()
    elsewhere = run.invoke(main, [*command, "--machine", "another"])
    assert elsewhere.exit_code == 1
    assert "no measured samples of another" in elsewhere.stderr
    program = data / "scops" / "scale-3.mlir"
    command = ["costmodel", "predict", str(program), "--model", str(model), "--json"]
    ranked = json.loads(run.invoke(main, command).stdout)
    assert [r["score"] for r in ranked] == sorted((r["score"] for r in ranked), reverse=True)
    assert "" in [r["steps"] for r in ranked]


def test_a_learning_curve_says_how_far_it_is_to_a_bar():
    assert families_needed([10, 20, 40], [0.5, 0.6, 0.7], 0.8) == "about 80 families"
    assert families_needed([20, 40], [0.4, 0.2], 0.1) == "about 57 families"  # errors fall
    assert families_needed([20, 40], [0.6, 0.6], 0.8) == "not by more programs"
    assert families_needed([20, 40], [0.7, 0.6], 0.8) == "not by more programs"


def test_an_empty_data_set_is_refused(tmp_path: Path):
    done = CliRunner().invoke(
        main, ["costmodel", "train", "--data", str(tmp_path), "-o", str(tmp_path / "m")]
    )
    assert done.exit_code == 1
    assert "no measured samples" in done.stderr
