"""The report page: its data, and every view of it in a real browser."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import sys
from base64 import b64decode
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import tilecast
import torch
from click.testing import CliRunner
from tilecast.codegen.package import read_package
from tilecast.compiler.cli import main
from tilecast.compiler.records.database import Database
from tilecast.compiler.records.record import Record, target_key
from tilecast.compiler.report.built_for import machine_of, threads_of
from tilecast.compiler.report.collect import argument_bytes, report_data
from tilecast.compiler.report.costs import predicted_costs
from tilecast.compiler.report.page import embedded
from tilecast.compiler.report.sections import functions_of_c, symbols_of_module
from tilecast.compiler.report.tuning import task_keys, tuning_curves
from tilecast.compiler.target import native_machine

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
FLAGS += ["--enable-logging=stderr", "--virtual-time-budget=2000", "--dump-dom"]


class Residual(torch.nn.Module):
    """Two paths that meet, so that the graph is more than a chain."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Linear(12, 12), torch.nn.Linear(12, 12)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = torch.nn.functional.gelu(self.first(x))
        return torch.softmax(self.second(hidden) + x, -1) * hidden.sum()


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TILECAST_CACHE_DIR", str(folder / "cache"))
        options: dict[str, Any] = {"name": "residual", "cost_model": "pretrained"}
        compiled = tilecast.compile(Residual().eval(), (torch.randn(5, 12),), **options)
        return compiled.save(folder / "out")


def tuned(package: Path) -> Path:
    """A database with four schedules of the first kernel, one of them wrong."""
    stored = read_package(package)
    machine, threads = machine_of(stored), threads_of(stored)
    assert machine == native_machine()
    name, key = next(iter(task_keys(stored).items()))
    path = package.parent / "tuning.sqlite"
    with Database(path) as database:
        for k, seconds in enumerate((2e-6, None, 0.5e-6, 0.8e-6)):
            failure = None if seconds else "wrong"
            steps, base = f"split(L{k}, 8)", 1e-6 if seconds else None
            facts = (key, name, target_key(machine), "cc", threads, steps, seconds, base)
            database.add([Record(*facts, repeats=25, failure=failure, time=float(k))])
    return path


def profile_of(names: list[str]) -> str:
    """As `tilecast profile --json` prints it."""
    row = {"ms": 0.5, "floor_ms": 0.2, "mflop": 3.0, "mbytes": 0.1, "gflops": 6.0}
    rows = [{"kernel": name, "calls": 1, **row, "roofline_percent": 40.0} for name in names]
    return json.dumps({"model": "m", "ms": 1.0, "ceilings": "measured", "kernels": rows})


@pytest.fixture(scope="module")
def page(package: Path) -> Path:
    file, times = package.parent / "report.html", package.parent / "times.json"
    kernels = report_data(read_package(package))["kernels"]
    times.write_text(profile_of([kernel["name"] for kernel in kernels]))
    command = ["report", str(package), "-o", str(file), "--profile", str(times)]
    command += ["--tuning", str(tuned(package))]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    return file


def test_every_kernel_has_its_text_at_every_stage(package: Path) -> None:
    data = report_data(read_package(package))
    for kernel in data["kernels"]:
        assert {"fuse", "structure", "schedule", "loops", "C"} <= set(kernel["texts"])
        for text in kernel["texts"].values():
            assert kernel["name"] in text
        assert kernel["verification"]["margin"] <= 1


def test_the_graph_has_all_launches_between_input_and_output(package: Path) -> None:
    graph = report_data(read_package(package))["graph"]
    kinds = [node["kind"] for node in graph["nodes"]]
    assert (kinds.count("input"), kinds.count("output")) == (1, 1)
    assert kinds.count("kernel") >= 2
    for edge in graph["edges"]:
        assert graph["nodes"][edge["source"]]["layer"] < graph["nodes"][edge["target"]]["layer"]
    reached = {edge["target"] for edge in graph["edges"]}
    assert all(k in reached for k, kind in enumerate(kinds) if kind != "input")


def test_buffers_that_live_at_once_do_not_overlap(package: Path) -> None:
    memory = report_data(read_package(package))["memory"]
    for k, a in enumerate(memory["intervals"]):
        assert a["offset"] + a["bytes"] <= memory["arena"]
        for b in memory["intervals"][k + 1 :]:
            apart = a["last"] < b["first"] or b["last"] < a["first"]
            beside = (
                a["offset"] + a["bytes"] <= b["offset"] or b["offset"] + b["bytes"] <= a["offset"]
            )
            assert apart or beside


def test_tuning_is_shown_in_the_order_of_time(package: Path, page: Path) -> None:
    (curve,) = tuning_curves(read_package(package), package.parent / "tuning.sqlite").values()
    assert curve["speedups"] == pytest.approx([0.5, None, 2.0, 1.25])
    assert curve["failures"] == [None, "wrong", None, None]
    assert (curve["best"], curve["steps"]) == (pytest.approx(2.0), "split(L2, 8)")


def test_contributions_add_up_to_what_the_model_predicts(package: Path) -> None:
    costs = predicted_costs(read_package(package), "pretrained")
    assert costs is not None
    assert set(costs["kernels"]) == set(task_keys(read_package(package)))
    for cost in costs["kernels"].values():
        total = cost["base"] + cost["rest"] + sum(share for _, _, share in cost["terms"])
        assert cost["roofline"] * math.exp(total) == pytest.approx(cost["seconds"], rel=1e-6)
        sizes = [abs(share) for _, _, share in cost["terms"]]
        assert sizes == sorted(sizes, reverse=True)


def test_without_a_cost_model_there_is_nothing_to_explain(package: Path) -> None:
    assert predicted_costs(read_package(package), "none") is None
    costs = predicted_costs(read_package(package), "roofline")
    assert costs is not None
    for cost in costs["kernels"].values():
        assert cost["seconds"] == pytest.approx(cost["roofline"])


def test_a_package_for_a_gpu_shows_its_cuda(tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(32, 16), torch.nn.ReLU()).eval()
    package = tilecast.emit(model, (torch.randn(16, 32),), tmp_path / "out", target="sm_80")
    page = tmp_path / "page.html"
    result = CliRunner().invoke(main, ["report", str(package), "-o", str(page)])
    assert result.exit_code == 0, result.output
    data = report_data(read_package(package))
    assert "model.cu" in data["files"]
    assert all("__global__" in kernel["texts"]["C"] for kernel in data["kernels"])
    assert predicted_costs(read_package(package), "pretrained") is None


def test_texts_cannot_end_the_script_element() -> None:
    text = embedded({"a": "</script><b>&"})
    assert "<" not in text
    assert json.loads(text) == {"a": "</script><b>&"}


def test_modules_and_files_are_cut_at_their_functions() -> None:
    module = "builtin.module {\n  func.func @a() {\n    x\n  }\n  func.func private @b()\n}\n"
    assert symbols_of_module(module) == {
        "a": "func.func @a() {\n  x\n}\n",
        "b": "func.func private @b()\n",
    }
    c = "void f(int x);\nstatic int h(void)\n{\n}\n/* f */\nvoid f(int x)\n{\n  h();\n}\n"
    assert "h();" in functions_of_c(c)["f"]


@pytest.mark.parametrize(
    ("type", "size"), [("memref<2x3xf32>", 24), ("memref<f64>", 8), ("memref<4xi1>", 4)]
)
def test_argument_bytes(type: str, size: int) -> None:
    assert argument_bytes([type]) == size


def test_times_of_another_model_are_refused(package: Path, tmp_path: Path) -> None:
    for text, expected in ((profile_of(["other"]), "found others"), ("[1]", "expected what")):
        (tmp_path / "times.json").write_text(text)
        command = ["report", str(package), "-o", str(tmp_path / "r.html")]
        result = CliRunner().invoke(main, [*command, "--profile", str(tmp_path / "times.json")])
        assert result.exit_code == 1
        assert expected in result.output
    assert not (tmp_path / "r.html").exists()


def test_a_folder_that_is_no_package(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["report", str(tmp_path), "-o", str(tmp_path / "r.html")])
    assert result.exit_code == 1
    assert "no package" in result.output
    assert not (tmp_path / "r.html").exists()


WALK = """
<script>
const shown = {}, views = @views@;
async function walk() {
  for (const view of views) {
    location.hash = view;
    await new Promise((next) =>
      addEventListener("hashchange", () => setTimeout(next), { once: true }));
    shown[view] = main.innerHTML;
  }
  const search = document.getElementById("search");
  search.value = "no such kernel";
  search.dispatchEvent(new Event("input"));
  await new Promise((next) => setTimeout(next, 50));
  shown.search = main.innerHTML;
  const text = btoa(encodeURIComponent(JSON.stringify(shown)));
  document.body.replaceChildren(make("pre", { id: "shown" }, text));
}
walk();
</script>
"""


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium")
def test_every_view_renders_in_a_browser(page: Path, tmp_path: Path) -> None:
    source = page.read_text()
    assert not re.search(r"(?:src|href)=|https?://(?!www\.w3\.org/2000/svg)", source)
    data = json.loads(re.search(r'type="application/json">(.*?)</script>', source, re.S)[1])  # type: ignore[index]
    kernel = data["kernels"][0]["name"]
    views = {
        "graph": "<path",
        "overview": "Whole model against float64",
        "kernels": kernel,
        f"kernel/{kernel}": "costs \u2192",
        f"kernel/{kernel}/statements": "dependences:",
        f"kernel/{kernel}/schedule": "vectorize",
        f"kernel/{kernel}/C": f"residual_{kernel}(",
        f"kernels/{kernel}": f"Kernels (1 of {len(data['kernels'])})",
        "times": 'id="roofline"',
        "memory": "Arena of",
        f"tuning/{kernel}": "4 schedules, in the order measured",
        f"costs/{kernel}": "what all kernels share",
        "decisions": "taken",
        "files": "residual.c",
    }
    walked = tmp_path / "walked.html"
    walk = WALK.replace("@views@", json.dumps(list(views)))
    walked.write_text(source.replace("</body>", f"{walk}</body>"))
    command = [str(BROWSER), *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", walked.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    found = re.search(r'<pre id="shown">([^<]*)</pre>', done.stdout)
    assert found is not None, done.stdout[-2000:] + done.stderr
    shown = json.loads(unquote(b64decode(found[1]).decode()))
    for view, expected in views.items():
        assert expected in shown[view], view
    assert "Kernels (0 of" in shown["search"]
    assert "CONSOLE" not in done.stderr, done.stderr


@pytest.mark.slow
def test_the_report_of_minilm_is_small(tmp_path: Path) -> None:
    sys.path.insert(0, str(Path(__file__).parents[3]))
    from examples import minilm

    package = tilecast.emit(*minilm.model(), tmp_path / "out", name="minilm")
    result = CliRunner().invoke(main, ["report", str(package), "-o", str(tmp_path / "page.html")])
    assert result.exit_code == 0, result.output
    assert 500_000 < (tmp_path / "page.html").stat().st_size < 15_000_000
