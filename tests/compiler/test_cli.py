"""The command line: exit codes, one error line, results on stdout, JSON, packages as arguments."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from tilecast.codegen.package import (
    CheckData,
    CheckOutput,
    PackageContent,
    Program,
    TensorSignature,
    write_package,
)
from tilecast.compiler.cli import main
from tilecast.compiler.commands.explain import kernel_facts
from tilecast.compiler.commands.model_argument import load_model
from tilecast.compiler.options import OPTIONS
from tilecast.compiler.runtime import toolchain
from tilecast.dialects.errors import InvalidInputError, VerifyFailure
from tilecast.passes.context import CompileContext

HEAD = (
    "void negate_program(const void *const *inputs, void *const *outputs,\n"
    "                    const void *const *weights, unsigned char *arena)"
)
PROGRAM = f"""\
{HEAD};
{HEAD} {{
  (void)weights;
  (void)arena;
  for (int i = 0; i < 3; i++) ((float *)outputs[0])[i] = -((const float *)inputs[0])[i];
}}
"""
X = np.array([1.0, -2.0, 0.5], np.float32)
CONTENT = PackageContent(
    name="negate",
    target="x86-64",
    inputs=(TensorSignature("x", "float32", (3,)),),
    outputs=(TensorSignature("y", "float32", (3,)),),
    programs=(Program("negate", "x86-64", {"negate.c": PROGRAM}, {}, 0),),
    check=CheckData((X,), (CheckOutput(-X, 0.0, 0.0),)),
)
MODULE = """\
import torch
not_callable = 3
def model():
    return torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.ReLU()).eval(), (torch.ones(2, 6),)
def wrong():
    return 1
def no_inputs():
    return torch.nn.ReLU(), torch.ones(3)
"""


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILECAST_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "my_models.py").write_text(MODULE)
    sys.modules.pop("my_models", None)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return write_package(tmp_path / "negate", CONTENT)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def test_all_verbs_are_listed() -> None:
    text = run("--help").stdout
    for verb in ["compile", "run", "bench", "verify", "explain", "doctor", "targets", "cache"]:
        assert f"\n  {verb} " in text


def test_version() -> None:
    assert "0.1.0" in run("--version").stdout


def test_every_available_option_is_a_flag() -> None:
    text = run("compile", "--help").stdout
    for spec in OPTIONS:
        flag = f"--{spec.name.replace('_', '-')}"
        assert (flag in text.split() or f"{flag} " in text) == spec.available, spec.name


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("absent.pt2", "no such file"),
        ("absent", "no such file"),
        ("nowhere.at_all:model", "cannot import nowhere.at_all"),
        ("my_models:absent", "absent"),
        ("my_models:not_callable", "is not callable"),
        ("my_models:wrong", "returned int"),
        ("my_models:no_inputs", "expected a tuple"),
        ("text.pt2", "text.pt2"),
    ],
)
def test_what_is_no_model_gives_one_error(tmp_path: Path, model: str, message: str) -> None:
    (tmp_path / "text.pt2").write_text("this is no model")
    result = run("compile", model, "-o", "out")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert result.stdout == ""
    assert not (tmp_path / "out").exists()


def test_exported_programs_are_models(tmp_path: Path) -> None:
    x = torch.ones(3)
    torch.export.save(torch.export.export(torch.nn.ReLU(), (x,)), tmp_path / "relu.pt2")
    loaded = load_model(str(tmp_path / "relu.pt2"))
    torch.testing.assert_close(loaded.example_inputs, (x,))


def test_keyword_inputs_of_an_exported_program_are_refused(tmp_path: Path) -> None:
    class Keyword(torch.nn.Module):
        def forward(self, *, x: torch.Tensor) -> torch.Tensor:
            return x + 1

    program = torch.export.export(Keyword(), (), {"x": torch.ones(3)})
    torch.export.save(program, tmp_path / "keyword.pt2")
    with pytest.raises(InvalidInputError, match=r"keyword inputs \['x'\]"):
        load_model(str(tmp_path / "keyword.pt2"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("compile",),
        ("nonsense",),
        ("compile", "m", "--nonsense"),
        ("compile", "m", "--emit-only"),
    ],
)
def test_usage_errors_exit_with_two(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


def test_a_file_in_the_way_is_said_first(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    result = run("compile", "my_models:model", "-o", "out")
    assert result.exit_code == 1
    assert "not a folder" in result.stderr


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILECAST_DEBUG", "1")
    assert isinstance(run("compile", "absent").exception, InvalidInputError)


def test_a_package_is_run(package: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    save_file({"input_0": torch.tensor([3.0, 4.0, 5.0])}, tmp_path / "in.safetensors")
    result = run(
        "run", package, "--inputs", tmp_path / "in.safetensors", "-o", "out.safetensors", "--json"
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)[0]["min"] == "-5"
    assert load_file("out.safetensors")["output_0"].tolist() == [-3.0, -4.0, -5.0]


@pytest.mark.parametrize("content", [b"no safetensors", None])
def test_bad_input_files_are_refused(package: Path, tmp_path: Path, content: bytes | None) -> None:
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(3)}, tmp_path / "in.safetensors")
    if content is not None:
        (tmp_path / "in.safetensors").write_bytes(content)
    result = run("run", package, "--inputs", tmp_path / "in.safetensors")
    assert result.exit_code == 1
    assert "in.safetensors: " in result.stderr


def test_a_package_is_verified(package: Path) -> None:
    result = run("verify", package, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["outputs"][0]["mismatches"] == 0


def test_a_mismatch_exits_with_three(tmp_path: Path) -> None:
    check = CheckData((X,), (CheckOutput(-X + 1, 0.0, 0.0),))
    wrong = write_package(tmp_path / "wrong", replace(CONTENT, check=check))
    result = run("verify", wrong)
    assert result.exit_code == 3
    assert "MISMATCH" in result.stderr
    assert issubclass(VerifyFailure, Exception)


def test_a_folder_that_is_no_package(tmp_path: Path) -> None:
    result = run("run", tmp_path)
    assert result.exit_code == 1
    assert "is no package" in result.stderr


def test_a_package_is_timed(package: Path) -> None:
    result = run("bench", package, "--rounds", "2", "--calls", "3", "--json")
    assert result.exit_code == 0, result.output
    [row] = json.loads(result.stdout)["engines"]
    assert row["engine"] == "tilecast"
    assert 0 < row["p10_ms"] <= row["median_ms"] <= row["p90_ms"]


def test_targets() -> None:
    rows = {row["target"]: row for row in json.loads(run("targets", "--json").stdout)}
    assert rows["x86-64-v3"]["isa"] == "avx2"
    assert rows["x86-64-v4"]["isa"] == "avx512"
    assert rows["c99"]["isa"] == "scalar"
    assert "native" in run("targets").stdout


def test_cache_shows_and_clears(package: Path, tmp_path: Path) -> None:
    assert run("cache", "dir").stdout.strip() == str(tmp_path / "cache")
    assert run("cache", "clear").exit_code == 0
    run("verify", package)
    before = json.loads(run("cache", "info", "--json").stdout)
    assert sum(kind["entries"] for kind in before["kinds"]) == 1
    assert "freed" in run("cache", "clear").stdout
    after = json.loads(run("cache", "info", "--json").stdout)
    assert sum(kind["entries"] for kind in after["kinds"]) == 0


def test_doctor_finds_what_is_there() -> None:
    findings = {f["subject"]: f for f in json.loads(run("doctor", "--json").stdout)}
    assert findings["compiler"]["state"] == "ok"
    assert findings["torch"]["found"] == torch.__version__
    assert findings["cache"]["state"] == "ok"
    assert findings["loading"]["state"] == "ok"
    assert "GiB" in findings["room"]["found"]


def test_doctor_says_how_to_get_a_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    toolchain.probe_candidates.cache_clear()
    result = run("doctor")
    toolchain.probe_candidates.cache_clear()
    assert result.exit_code == 1
    assert "broken   compiler" in result.stdout
    assert "apt install gcc" in result.stdout


def test_doctor_warns_of_an_open_cache(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(0o777)
    findings = {f["subject"]: f for f in json.loads(run("doctor", "--json").stdout)}
    assert findings["cache"]["state"] == "warning"
    assert "TILECAST_CACHE_DIR" in findings["cache"]["fix"]


def test_kernels_are_explained_in_call_order() -> None:
    from xdsl.parser import Parser

    text = """
func.func private @relu_0(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = "graph.pointwise"(%x) <{fn = "relu"}> : (tensor<4xf32>) -> tensor<4xf32>
  %1 = "graph.pointwise"(%0) <{fn = "relu"}> : (tensor<4xf32>) -> tensor<4xf32>
  func.return %1 : tensor<4xf32>
}
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = "graph.launch"(%x) <{kernel = @relu_0}> : (tensor<4xf32>) -> tensor<4xf32>
  %1 = "graph.launch"(%0) <{kernel = @relu_0}> : (tensor<4xf32>) -> tensor<4xf32>
  func.return %1 : tensor<4xf32>
}
"""
    module = Parser(CompileContext(), text).parse_module()
    assert kernel_facts(module) == [
        {
            "kernel": "relu_0",
            "calls": 2,
            "operators": "relu*2",
            "arguments": "4xf32",
            "results": "4xf32",
        }
    ]


def test_a_model_is_compiled_saved_and_run(tmp_path: Path) -> None:
    result = run("compile", "my_models:model", "-o", "out", "--name", "small", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["output"] == "out"
    assert (tmp_path / "out" / "include" / "small.h").exists()
    assert run("verify", "out").exit_code == 0
    assert run("verify", "my_models:model").exit_code == 0
    assert "1 kernels, 1 calls" in run("explain", "my_models:model").stdout
    assert "memory: 0 bytes" in run("explain", "my_models:model", "--max-memory", "8KB").stdout
    assert "func.func @main" in run("compile", "my_models:model", "--stop-after", "fuse").stdout
    assert run("cache", "explain", "my_models:model").exit_code == 0


def test_a_profile_has_a_row_for_each_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TILECAST_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "profiled_model.py").write_text(MODULE)
    result = run("profile", "profiled_model:model", "--runs", "2", "--json")
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert data["kernels"]
    assert data["ms_in_kernels"] >= 0
