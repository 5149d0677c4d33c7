"""The whole compile: results, stages, cache, and one clear error for each bad input."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import pytest
import tilecast
import torch
from tilecast.compiler import driver, lowering, target
from tilecast.compiler.options import OPTIONS, STAGES
from tilecast.compiler.runtime.cache import Store
from tilecast.dialects.errors import (
    CacheError,
    CompilerNotFoundError,
    InvalidInputError,
    OptionError,
    VerifyFailure,
)
from torch import nn
from xdsl.dialects.builtin import ModuleOp


class Net(nn.Module):
    """Two kernels, a shared input, several outputs and a keyword."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(24, 17)
        self.second = nn.Linear(17, 5)

    def forward(self, x, *, shift=None):
        hidden = torch.relu(self.first(x))
        y = self.second(hidden)
        if shift is not None:
            y = y + shift
        return {"y": y, "total": hidden.sum(-1)}


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    """A cache, a working folder and an environment of its own."""
    monkeypatch.chdir(tmp_path)
    for spec in OPTIONS:
        monkeypatch.delenv(spec.variable, raising=False)
    monkeypatch.setenv("TILECAST_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def net():
    return Net().eval()


X = torch.linspace(-2, 2, 3 * 24).reshape(3, 24)


def test_result_is_that_of_the_model(net):
    compiled = tilecast.compile(net, (X,))
    result = compiled(X)
    assert list(result) == ["y", "total"]
    expected = net(X)
    assert torch.allclose(result["y"], expected["y"], atol=1e-5)
    assert torch.allclose(result["total"], expected["total"], atol=1e-5)
    assert not result["y"].requires_grad
    assert compiled.report is not None
    assert compiled.report.passed
    assert {r.kind for r in compiled.report.results} == {"kernel", "model"}


def test_keyword_arguments(net):
    shift = torch.full((5,), 3.0)
    compiled = tilecast.compile(net, (X,), {"shift": shift}, verify=False)
    result = compiled(X, shift=2 * shift)
    assert torch.allclose(result["y"], net(X, shift=2 * shift)["y"], atol=1e-5)
    with pytest.raises(InvalidInputError, match="structure"):
        compiled(X)


def test_training_mode_is_left_as_it_was(net):
    net.train()
    tilecast.compile(net, (X,), verify=False)
    assert net.training


@pytest.mark.parametrize("stage", STAGES[:-2])
def test_stop_after_returns_the_ir(net, stage):
    module = tilecast.compile(net, (X,), stop_after=stage)
    assert isinstance(module, ModuleOp)
    module.verify()


def test_stop_after_emit_returns_the_sources(net):
    sources = tilecast.compile(net, (X,), stop_after="emit", name="tiny")
    assert "void tiny_program(" in sources["tiny.c"]


def test_dump_dir_holds_every_stage(net, tmp_path):
    tilecast.compile(net, (X,), dump_dir=tmp_path / "ir", verify=False)
    names = sorted(os.listdir(tmp_path / "ir"))
    assert [n for n in names if n.endswith(".mlir")] == [
        f"{k:02d}-{stage}.mlir" for k, stage in enumerate(STAGES[:-2])
    ]
    assert "builtin.module" in (tmp_path / "ir" / "03-structure.mlir").read_text()
    assert [n for n in names if n.endswith(".c")]


def test_pass_dump_is_numbered(net, tmp_path, monkeypatch):
    monkeypatch.setenv("TILECAST_DUMP", str(tmp_path / "passes"))
    tilecast.compile(net, (X,), stop_after="simplify")
    assert sorted(os.listdir(tmp_path / "passes"))[0] == "000-canonicalize.mlir"


def test_second_compile_builds_nothing(net, monkeypatch):
    first = tilecast.compile(net, (X,))

    def refuse(*arguments: object) -> bytes:
        raise AssertionError("a cached model was built again")

    monkeypatch.setattr(driver, "build", refuse)
    again = tilecast.compile(net, (X,))
    assert torch.equal(again(X)["y"], first(X)["y"])
    assert again.report == first.report
    assert again.sources == first.sources
    assert again.artifact.ir == first.artifact.ir


@pytest.mark.parametrize(
    "change", ["weights", "threads", "target", "shape", "name", "verify", "code"]
)
def test_whatever_decides_the_result_is_in_the_key(net, change, monkeypatch):
    before = driver.cache_key_parts(net, (X,), threads=1)
    options: dict[str, object] = {"threads": 1}
    x = X
    if change == "weights":
        with torch.no_grad():
            net.first.bias[3] += 1e-6
    elif change == "shape":
        x = X[:2]
    elif change == "code":
        monkeypatch.setattr("tilecast.compiler.runtime.key.sources_digest", lambda: "other")
    else:
        values = {"threads": 2, "target": "c99", "name": "other", "verify": False}
        options[change] = values[change]
    after = driver.cache_key_parts(net, (x,), **options)
    assert before != after
    assert driver.model_key(before) != driver.model_key(after)


def test_key_has_no_paths_and_is_the_same_for_an_equal_model(net):
    parts = driver.cache_key_parts(net, (X,))
    other = Net().eval()
    other.load_state_dict(net.state_dict())
    assert driver.cache_key_parts(other, (X,)) == parts
    assert not [value for value in parts.values() if "/" in value]


def test_damaged_entry_is_built_again(net, cache_folder, capsys):
    expected = tilecast.compile(net, (X,), verify=False)(X)["y"]
    (entry,) = Store(cache_folder).entries()
    path = entry.path / "weights.bin"
    content = bytearray(path.read_bytes())
    content[10] ^= 0xFF
    path.write_bytes(content)
    again = tilecast.compile(net, (X,), verify=False)
    assert torch.equal(again(X)["y"], expected)
    assert "damaged" in capsys.readouterr().err
    assert len(Store(cache_folder).entries()) == 1


def test_cache_can_be_switched_off(net, cache_folder):
    tilecast.compile(net, (X,), cache=False, verify=False)
    assert not cache_folder.exists()


def test_unwritable_cache_folder_does_not_stop_a_compile(net, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TILECAST_CACHE_DIR", str(tmp_path / "file" / "below"))
    compiled = tilecast.compile(net, (X,), verify=False)
    assert torch.allclose(compiled(X)["y"], net(X)["y"], atol=1e-5)
    assert "cannot be written" in capsys.readouterr().err


def test_cache_that_fills_up_costs_a_warning_only(net, cache_folder, monkeypatch, capsys):
    add = Store.add

    def full(self, *arguments):
        if self.root == cache_folder:
            raise CacheError("cannot write the cache: No space left on device")
        return add(self, *arguments)

    monkeypatch.setattr(Store, "add", full)
    compiled = tilecast.compile(net, (X,), verify=False)
    assert torch.allclose(compiled(X)["y"], net(X)["y"], atol=1e-5)
    assert capsys.readouterr().err.count("the model is not cached") == 1


def test_results_are_the_same_bits_for_any_thread_count(net):
    one = tilecast.compile(net, (X,), threads=1, verify=False)
    two = tilecast.compile(net, (X,), threads=2, verify=False)
    assert torch.equal(one(X)["y"], two(X)["y"])
    assert len({one(X)["y"].numpy().tobytes() for _ in range(10)}) == 1


def test_sources_are_deterministic(net):
    runs = [
        tilecast.compile(net, (X,), stop_after="emit"),
        tilecast.compile(net, (X,), stop_after="emit"),
    ]
    assert runs[0] == runs[1]


def test_wrong_kernel_is_found_and_not_stored(net, cache_folder, monkeypatch):
    emit_unit = lowering.emit_unit

    def broken(*arguments, **keywords):
        text = emit_unit(*arguments, **keywords)
        assert "0x0p+0f" in text or "0.0f" in text
        return text.replace("0x0p+0f", "0x1p-3f").replace("0.0f", "0.125f")

    monkeypatch.setattr(lowering, "emit_unit", broken)
    with pytest.raises(VerifyFailure, match=r"element .* found .* expected"):
        tilecast.compile(net, (X,), target="c99")
    assert Store(cache_folder).entries() == []


def test_verify_again_from_what_is_stored(net):
    compiled = tilecast.compile(net, (X,), verify=False)
    assert compiled.report is None
    report = compiled.verify(seed=5)
    assert report.passed
    assert report.seed == 5


def test_exported_program_and_file_and_what_a_hit_loads(net, tmp_path):
    program = torch.export.export(net, (X,))
    expected = tilecast.compile(net, (X,), verify=False)(X)["y"]
    assert torch.equal(tilecast.compile(program, verify=False)(X)["y"], expected)
    torch.export.save(program, tmp_path / "net.pt2")
    assert torch.equal(tilecast.compile(tmp_path / "net.pt2", verify=False)(X)["y"], expected)
    hit = "import sys, tilecast; tilecast.compile(sys.argv[1], verify=False)"
    hit += "; print({'xdsl', 'islpy', 'scipy'} & set(sys.modules))"
    command = [sys.executable, "-c", hit, str(tmp_path / "net.pt2")]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert told == "set()\n"  # what is cached needs no compiler


def test_file_that_is_no_model(tmp_path):
    (tmp_path / "bad.pt2").write_bytes(b"not a model")
    with pytest.raises(InvalidInputError, match=r"bad\.pt2"):
        tilecast.compile(tmp_path / "bad.pt2")


def test_no_compiler_is_said_before_any_work(net, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(driver, "model_job", lambda *_: pytest.fail("work was done first"))
    with pytest.raises(CompilerNotFoundError, match="no working C compiler"):
        tilecast.compile(net, (X,))


def test_emit_works_without_a_compiler(net, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    folder = tilecast.emit(net, (X,), tmp_path / "out", target="x86-64-v4", name="tiny")
    assert (folder / "manifest.json").exists()
    assert (folder / "src" / "tiny.c").exists()
    assert not (folder / "src" / "runtime_call.c").exists()


def test_saved_package_gives_the_same_results(net, tmp_path):
    compiled = tilecast.compile(net, (X,), verify=False)
    compiled.save(tmp_path / "out")
    loaded = tilecast.load(tmp_path / "out")
    assert torch.allclose(loaded(X)["y"], compiled(X)["y"], atol=1e-6)
    loaded.verify()


def test_target_that_cannot_run_here_is_refused(net, monkeypatch):
    scalar = target.resolve_target("c99")
    monkeypatch.setattr(target, "native_machine", lambda: scalar)
    with pytest.raises(OptionError, match=r"'x86-64-v3' needs .*avx2.*tilecast\.emit"):
        tilecast.compile(net, (X,), target="x86-64-v3")


def test_unknown_option_and_unavailable_option(net):
    with pytest.raises(OptionError, match="did you mean 'target'"):
        tilecast.compile(net, (X,), targt="native")
    with pytest.raises(OptionError, match="not available yet"):
        tilecast.compile(net, (X,), fast_math=True)
    with pytest.raises(OptionError, match="expected one of f32, bf16"):
        tilecast.compile(net, (X,), precision="f16")
    with pytest.raises(OptionError, match="needs quantized weights"):
        tilecast.compile(net, (X,), activations="int8")


def test_portable_target_gives_the_same_numbers(net):
    portable = tilecast.compile(net, (X,), target="c99")
    assert portable.artifact.threads == 1
    assert torch.allclose(portable(X)["y"], net(X)["y"], atol=1e-5)


def test_model_without_tensors_to_compute():
    class Same(nn.Module):
        def forward(self, x):
            return x, 3

    x = torch.randn(4)
    result = tilecast.compile(Same(), (x,))(x)
    assert result[0] is x
    assert result[1] == 3


def test_empty_tensors():
    class Scale(nn.Module):
        def forward(self, x):
            return x * 2

    x = torch.zeros(0, 5)
    assert tilecast.compile(Scale(), (x,))(x).shape == (0, 5)


def compile_in_process(log: Path, start: Barrier) -> None:
    build = driver.build

    def logged(*arguments):
        with log.open("a") as file:
            file.write("build\n")
        return build(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "build", logged)
        start.wait()
        compiled = tilecast.compile(Net().eval(), (X,), verify=False)
    assert np.isfinite(compiled(X)["y"].numpy()).all()


def test_two_processes_at_once_build_one_model(tmp_path):
    log = tmp_path / "log"
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(2)
    process = context.Process(target=compile_in_process, args=(log, start))
    process.start()
    compile_in_process(log, start)
    process.join()
    assert process.exitcode == 0
    assert log.read_text() == "build\n"
