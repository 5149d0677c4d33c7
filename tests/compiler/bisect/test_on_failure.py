"""What a compilation leaves behind that fails by a defect: model, IR, and the command to repeat."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tilecast
import torch
from click.testing import CliRunner
from tilecast.compiler.bisect.repro import bisect_command
from tilecast.compiler.cli import main
from tilecast.compiler.options import resolve_options
from tilecast.dialects.errors import PassError, RefusedSourceError, TilecastError, VerifyFailure
from tilecast.passes.graph.fuse import FusePass
from tilecast.passes.loops.promote_buffers import PromoteBuffersPass

from .test_bisect import Small, after, subtract

OPTIONS: dict[str, Any] = {"cache": False, "threads": 1, "target": "x86-64-v3"}


@pytest.fixture(autouse=True)
def _temporary_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def failing(error: type[TilecastError], **options: Any) -> tuple[str, Path]:
    """The message of the compilation, and the folder that it names."""
    with pytest.raises(error) as caught:
        tilecast.compile(Small().eval(), (torch.randn(3, 6),), **{**OPTIONS, **options})
    found = re.search(r"are in (\S+);", str(caught.value))
    assert found is not None, str(caught.value)
    return str(caught.value), Path(found[1])


def bisected(folder: Path) -> str:
    """What the command in the README finds."""
    command = re.search(r"^Repeat: (.*)$", (folder / "README").read_text(), re.M)
    assert command is not None
    result = CliRunner().invoke(main, shlex.split(command[1])[1:])
    assert result.exit_code == 3, result.output
    return result.output


def explode(module: Any) -> None:
    raise KeyError("no such symbol")


def test_a_pass_that_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    after(FusePass, explode, monkeypatch)
    message, folder = failing(PassError)
    assert "pass fuse failed: KeyError" in message
    assert {p.name for p in folder.iterdir()} == {
        *("README", "before.mlir", "error.txt", "inputs.pt", "model.pt2")
    }
    before = (folder / "before.mlir").read_text()
    assert '"graph.pointwise"' in before or "graph.pointwise" in before
    assert "graph.launch" not in before
    assert "explode" in (folder / "error.txt").read_text()
    assert "tilecast-opt before.mlir -p fuse" in (folder / "README").read_text()
    assert "fuse fails for main: pass fuse failed: KeyError" in bisected(folder)


def test_sources_that_only_are_emitted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    after(FusePass, explode, monkeypatch)
    with pytest.raises(PassError, match="the model and the IR before it are in"):
        tilecast.emit(Small().eval(), (torch.randn(3, 6),), tmp_path / "out", **OPTIONS)
    assert not (tmp_path / "out").exists()


def test_c_that_the_compiler_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "tilecast.compiler.lowering.emit_unit", lambda *_, **__: "int f(void) { return x; }\n"
    )
    monkeypatch.setattr(
        "tilecast.compiler.bisect.crash.emit_unit", lambda *_, **__: "int f(void) { return x; }\n"
    )
    message, folder = failing(RefusedSourceError)
    assert "refused generated code" in message
    assert "return x;" in (folder / "after.c").read_text()
    assert "@linear_exp_add_0" in (folder / "before.mlir").read_text()
    assert "emit fails for linear_exp_add_0" in bisected(folder)


def test_a_failed_verification_says_where_it_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    after(PromoteBuffersPass, subtract, monkeypatch)
    message, folder = failing(VerifyFailure)
    assert "promote-buffers changes linear_exp_add_0" in message
    names = {path.name for path in folder.iterdir()}
    assert names >= {"README", "before.mlir", "after.mlir", "model.pt2", "inputs.pt"}


def test_a_kernel_leaves_its_program(monkeypatch: pytest.MonkeyPatch) -> None:
    after(PromoteBuffersPass, explode, monkeypatch)

    @tilecast.kernel
    def double(x: tilecast.f32[8]) -> None:
        for i in range(8):
            x[i] = x[i] * 2.0

    with pytest.raises(PassError, match="the kernel and its IR are in") as caught:
        tilecast.compile(double, cache=False)
    folder = Path(str(caught.value).rpartition(" are in ")[2])
    names = {path.name for path in folder.iterdir()}
    assert names >= {"README", "kernel.mlir", "00-import.mlir", "error.txt"}
    monkeypatch.undo()
    again = tilecast.compile(folder / "kernel.mlir", cache=False)
    x = np.ones(8, np.float32)
    again(x)
    assert (x == 2).all()


def test_a_full_disk_leaves_the_error_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(*_: Any) -> None:
        raise OSError("No space left on device")

    after(FusePass, explode, monkeypatch)
    monkeypatch.setattr("tilecast.compiler.bisect.on_failure.write_repro", full)
    with pytest.raises(PassError, match="could be written: No space left on device"):
        tilecast.compile(Small().eval(), (torch.randn(3, 6),), **OPTIONS)
    assert not [name for name in os.listdir(tmp_path) if name.startswith("tilecast-repro")]


def test_the_command_has_the_options_that_matter() -> None:
    settings = resolve_options(
        {**OPTIONS, "convolutions": "direct", "verify": False, "weights": "u4:g8"}
    )
    assert bisect_command(Path("m.pt2"), settings) == (
        "tilecast bisect m.pt2 --target x86-64-v3 --threads 1 --convolutions direct"
    )
