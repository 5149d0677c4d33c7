"""Reports of kernels: statements, dependence vectors, loops, temporaries; as text and JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from tilecast import f64, kernel
from tilecast.compiler.cli import main
from tilecast.compiler.explain.affine_text import affine_text
from tilecast.compiler.explain.dependence_vectors import DependenceFacts, dependence_facts
from tilecast.compiler.explain.explain import explain_kernel, explain_scheduled
from tilecast.compiler.explain.kernel_report import KernelReport
from tilecast.compiler.frontend.kernel_language import BoundKernel
from tilecast.compiler.kernels.driver import lowered_kernel
from tilecast.dialects.errors import InvalidInputError
from tilecast.passes.poly.extraction.extract_affine import extract_affine
from xdsl.dialects.func import FuncOp
from xdsl.ir.affine import AffineExpr

D0, D1 = AffineExpr.dimension(0), AffineExpr.dimension(1)


@kernel
def seidel(n: int, steps: int, A: f64["n", "n"]) -> None:
    for t in range(steps):
        for i in range(1, n - 1):
            for j in range(1, n - 1):
                A[i, j] = (A[i - 1, j] + A[i, j] + A[i, j + 1]) / 3.0


@kernel
def chain(n: int, x: f64["n"], y: f64["n"]) -> None:
    t = np.empty(n)
    for i in range(n):
        t[i] = x[n - 1 - i] * (x[i] + 2.0)
    for i in range(n):
        y[i] = max(t[i], -y[i]) if x[i] > 0.5 else 0.0


@kernel
def total(n: int, A: f64["n", "n"], s: f64["n"]) -> None:
    for i in range(n):
        for j in range(i, n):
            s[i] += A[i, j]


def report_of(bound: BoundKernel, schedule: str | None = None) -> KernelReport:
    lowered = lowered_kernel(bound, schedule=schedule, target="c99")
    return explain_kernel(lowered.ir, lowered.sources)


def dependences(bound: BoundKernel) -> list[DependenceFacts]:
    func = bound.module().body.block.first_op
    assert isinstance(func, FuncOp)
    return dependence_facts(extract_affine(func))


def test_constant_distances_are_numbers() -> None:
    flow = [d for d in dependences(seidel.bind(n=8, steps=3)) if d.kind == "flow"]
    assert [d.vectors for d in flow] == [(("0", "1", "0"), ("1", "0", "-1"), ("1", "0", "0"))]
    assert flow[0].loops == ("S0.i0", "S0.i1", "S0.i2")
    assert (flow[0].source, flow[0].sink, flow[0].array) == ("S0", "S0", "A")


def test_other_distances_are_directions() -> None:
    found = {d.kind: d for d in dependences(total.bind(n=9))}
    assert found["flow"].vectors == (("0", "1"),)
    assert found["anti"].vectors == (("0", "+"),)
    assert all(d.is_reduction for d in found.values())


def test_statements_in_separate_loops_share_none() -> None:
    (flow,) = (d for d in dependences(chain.bind(n=5)) if d.kind == "flow")
    assert (flow.source, flow.sink, flow.array) == ("S0", "S1", "t")
    assert flow.vectors == ((),)


def test_statements_are_written_as_assignments() -> None:
    report = report_of(chain.bind(n=5), schedule="")
    assert [s.text for s in report.statements] == [
        "t[i0] = x[4 - i0] * (x[i0] + 2)",
        "y[i0] = (max(t[i0], -y[i0]) if x[i0] > 0.5 else 0)",
    ]
    assert report.statements[0].reads == ("x[4 - i0]", "x[i0]")
    assert [a.role for a in report.arrays] == ["in", "inout", "temporary"]


def test_the_schedule_is_shown_before_and_after() -> None:
    report = report_of(total.bind(n=5), schedule="split(S0.i1, 2, jo, ji)")
    assert report.before == "for S0.i0  [S0: i0]\n  for S0.i1  [S0: i1]\n    S0\n"
    assert report.steps == ("split(S0.i1, 2, jo, ji)",)
    assert "for jo  [S0: floor((i1)/2)]" in report.after
    assert report.rewritten == ()


def test_temporaries_have_a_place() -> None:
    (whole,) = report_of(chain.bind(n=5), schedule="").temporaries
    assert whole.place == "local to the kernel as 8"  # whole cache lines
    assert whole.bytes == 64
    (fused,) = report_of(chain.bind(n=5), schedule="fuse(S0.i0+S1.i0, i)").temporaries
    assert fused.place == "in registers as 1"
    (large,) = report_of(chain.bind(n=5000), schedule="").temporaries
    assert (large.place, large.bytes) == ("scratch argument as 5000", 40000)


def test_the_report_reads_and_is_data() -> None:
    report = report_of(total.bind(n=5), schedule="")
    text = str(report)
    for part in (
        "statements:",
        "(reduction by add)",
        "loops before:",
        "steps:\n  none",
        "void total(",
    ):
        assert part in text
    assert json.loads(json.dumps(report.to_json()))["name"] == "total"


@pytest.mark.parametrize(
    ("expr", "text"),
    [
        (D0 * -1 + 59, "59 - i0"),
        (D0 + D1 * -2 + -1, "i0 - 2*i1 - 1"),
        ((D0 + 1) // 2 * 4, "4*((i0 + 1) // 2)"),
        (D0 + D0 * -1, "0"),
        (D0 * -1, "-i0"),
        (AffineExpr.symbol(0) + D0 % 2, "n + (i0 % 2)"),
    ],
)
def test_affine_expressions_are_sums(expr: AffineExpr, text: str) -> None:
    assert affine_text(expr, ["n"]) == text


def test_a_kernel_of_a_model_is_explained() -> None:
    import tilecast
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.ReLU()).eval()
    module: Any = tilecast.compile(model, (torch.ones(2, 6),), stop_after="schedule", target="c99")
    report = explain_scheduled(module, "linear_relu_0")
    assert any(s.reduction == "add" for s in (*report.statements, *report.rewritten))
    with pytest.raises(InvalidInputError, match="kernels are linear_relu_0"):
        explain_scheduled(module, "conv")


MODULE = """
import tilecast
from tilecast import f64
@tilecast.kernel
def scale(n: int, x: f64["n"]) -> None:
    for i in range(n):
        x[i] = 2.0 * x[i]
"""


@pytest.fixture
def scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "scaling_kernels.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("TILECAST_CACHE_DIR", str(tmp_path / "cache"))
    return "scaling_kernels:scale"


def test_the_verbs_take_kernels(scale: str, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(main, [*arguments, "--no-progress"])
        assert result.exit_code == 0, result.output
        return result.stdout

    text = run("explain", scale, "--size", "n=6")
    assert "S0: x[i0] = 2 * x[i0]" in text
    data = json.loads(run("explain", scale, "--size", "n=6", "--json"))
    assert data["statements"][0]["domain"] == "{ [i0] : 0 <= i0 <= 5 }"
    assert "compiled in" in run("compile", scale, "--size", "n=6")
    assert '"poly.scop"() <{sym_name' in run(
        "compile", scale, "--size", "n=6", "--stop-after", "schedule"
    )
    assert "kernel x" in run("verify", scale, "--size", "n=6")
    assert "tilecast" in run("bench", scale, "--size", "n=6", "--rounds", "1")
    save_file({"x": np.arange(6.0)}, tmp_path / "in.safetensors")
    files = ["--inputs", str(tmp_path / "in.safetensors"), "-o", str(tmp_path / "out.safetensors")]
    (fact,) = json.loads(run("run", scale, "--size", "n=6", "--json", *files))
    assert (fact["name"], fact["max"]) == ("x", "10")
    np.testing.assert_array_equal(load_file(tmp_path / "out.safetensors")["x"], 2 * np.arange(6.0))


def test_wrong_flags_are_errors(scale: str, tmp_path: Path) -> None:
    def error(*arguments: str) -> str:
        result = CliRunner().invoke(main, list(arguments))
        assert result.exit_code == 1
        return result.stderr

    assert "expected NAME=VALUE" in error("run", scale, "--size", "n")
    assert "cannot read a schedule" in error("run", scale, "--schedule", str(tmp_path / "none"))
    assert "names a kernel of a model" in error("explain", scale, "--size", "n=6", "--kernel", "k")
    assert "the cache is explained for models" in error("cache", "explain", scale)
    assert "not saved as packages yet" in error("compile", scale, "-o", str(tmp_path / "out"))
