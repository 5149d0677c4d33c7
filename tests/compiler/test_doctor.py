"""Everything that `tilecast doctor` finds is brought about, and cured by what it says."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from tilecast.compiler import doctor
from tilecast.compiler.cli import main
from tilecast.compiler.runtime import toolchain
from tilecast.costmodel.hardware import Machine

CC = shutil.which("cc") or "cc"


@pytest.fixture(autouse=True)
def _fresh_toolchain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Compilers are looked for again, and the cache is the test's own."""
    monkeypatch.setenv("TILECAST_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("CC", raising=False)
    toolchain.probe_candidates.cache_clear()
    yield
    toolchain.probe_candidates.cache_clear()


def compiler_script(folder: Path, text: str) -> str:
    """A compiler of a few lines of shell."""
    script = folder / "mycc"
    script.write_text(f"#!/bin/sh\n{text}\n")
    script.chmod(0o755)
    return str(script)


def versions(monkeypatch: pytest.MonkeyPatch, **found: str | None) -> None:
    """Let these distributions be installed."""
    monkeypatch.setattr(doctor, "_version", found.get)


def test_no_compiler_is_cured_by_naming_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        found = doctor.examine_compiler()
        assert (found.state, found.found) == ("broken", "no working C compiler")
        assert "apt install gcc" in found.fix
        assert doctor.examine_openmp().fix
        assert doctor.examine_loading().state == "broken"
        assert "or set CC to its path" in found.fix
        patch.setenv("CC", CC)
        assert doctor.examine_compiler().state == "ok"


def test_a_compiler_that_does_not_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CC", compiler_script(tmp_path, "exit 1"))
    found = doctor.examine_compiler()
    assert found.state == "broken"
    assert "names none" in found.fix


def test_a_compiler_without_openmp_still_builds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    refuse = f'case "$*" in *-fopenmp*) exit 1;; esac\nexec {CC} "$@"'
    monkeypatch.setenv("CC", compiler_script(tmp_path, refuse))
    found = doctor.examine_openmp()
    assert (found.state, found.found) == ("warning", "programs will run on one thread")
    assert "libgomp1" in found.fix
    assert doctor.examine_loading().state == "ok"
    monkeypatch.setenv("CC", CC)
    assert doctor.examine_openmp().state == "ok"


def test_a_cpu_without_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "native_machine", lambda: Machine("native", "scalar"))
    found = doctor.examine_cpu()
    assert found.state == "warning"
    assert "AVX2" in found.fix


@pytest.mark.parametrize(
    ("version", "state"),
    [(None, "broken"), ("2.8.1+cpu", "broken"), ("2.9.0+cu130", "ok"), ("2.13.0a0+git1", "ok")],
)
def test_builds_of_torch(monkeypatch: pytest.MonkeyPatch, version: str | None, state: str) -> None:
    versions(monkeypatch, torch=version)
    found = doctor.examine_torch()
    assert found.state == state
    assert found.fix == ("pip install 'torch>=2.9'" if state == "broken" else "")


def test_other_versions_of_xdsl_and_islpy(monkeypatch: pytest.MonkeyPatch) -> None:
    versions(monkeypatch, xdsl="0.1.0", islpy="2026.1")
    assert doctor.examine_xdsl().state == "warning"
    assert doctor.examine_islpy().state == "ok"
    versions(monkeypatch)
    assert doctor.examine_xdsl().state == "broken"
    assert doctor.examine_xdsl().fix == f"pip install xdsl=={doctor.PINNED_XDSL}"
    assert doctor.examine_islpy().fix == "pip install islpy"


def test_caches_of_others_are_cured_by_one_of_ones_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "file").write_text("")
    for root, problem in (("open", "by other users"), ("file/cache", "cannot be written")):
        monkeypatch.setenv("TILECAST_CACHE_DIR", str(tmp_path / root))
        found = doctor.examine_cache()
        assert found.state == "warning"
        assert problem in found.found
        assert found.fix == "set TILECAST_CACHE_DIR to a folder of your own"
    with monkeypatch.context() as patch:
        patch.setenv("TILECAST_CACHE_DIR", str(tmp_path / "mine"))
        patch.setattr("os.getuid", lambda: 12345)
        assert "belongs to another user" in doctor.examine_cache().found
    monkeypatch.setenv("TILECAST_CACHE_DIR", str(tmp_path / "mine"))
    assert doctor.examine_cache().state == "ok"


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    free = SimpleNamespace(free=1 << 20)
    with monkeypatch.context() as patch:
        patch.setattr(doctor.shutil, "disk_usage", lambda _: free)
        found = doctor.examine_room()
    assert found.state == "warning"
    assert "tilecast cache clear" in found.fix
    assert CliRunner().invoke(main, ["cache", "clear"]).exit_code == 0


def test_a_folder_in_which_nothing_may_be_executed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: str) -> None:
        raise OSError("failed to map segment from shared object")

    with monkeypatch.context() as patch:
        patch.setattr(doctor.ctypes, "CDLL", refuse)
        found = doctor.examine_loading()
    assert (found.state, found.found) == ("broken", "failed to map segment from shared object")
    assert "noexec" in found.fix
    assert doctor.examine_loading().state == "ok"


def test_whatever_is_not_ok_has_a_cure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("TILECAST_CACHE_DIR", "/proc/nothing")
    versions(monkeypatch)
    findings = doctor.examine()
    assert {f.subject for f in findings if f.state != "ok"} >= {
        *("compiler", "openmp", "torch", "xdsl", "islpy", "cache", "loading")
    }
    assert all(f.fix for f in findings if f.state != "ok")
    assert not any(f.fix for f in findings if f.state == "ok")
    result = CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 1
    assert result.output.count("fix: ") == sum(f.state != "ok" for f in findings)
