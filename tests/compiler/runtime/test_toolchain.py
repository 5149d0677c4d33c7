"""Finding and running the C compiler."""

from __future__ import annotations

import ctypes
import os
import stat
from pathlib import Path

import pytest
from tilecast.compiler.runtime.toolchain import build_library, find_toolchain
from tilecast.compiler.target import native_machine, resolve_target
from tilecast.dialects.errors import BuildError, CompilerNotFoundError

UNIT = "int {name}(void);\nint {name}(void) {{ return {value}; }}\n"


def test_empty_path_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(CompilerNotFoundError, match="apt install gcc"):
        find_toolchain()


def test_cc_that_does_not_exist_is_named(monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler -O1")
    with pytest.raises(CompilerNotFoundError, match="no-such-compiler"):
        find_toolchain()


def test_cc_that_fails_is_no_compiler(monkeypatch, tmp_path):
    broken = tmp_path / "broken-cc"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(broken.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("CC", str(broken))
    with pytest.raises(CompilerNotFoundError):
        find_toolchain()


def test_compiler_is_found_and_identified():
    toolchain = find_toolchain()
    assert toolchain.kind in {"gcc", "clang"}
    assert toolchain.version[0].isdigit()
    assert toolchain.version in toolchain.identity
    assert Path(toolchain.command[0]).is_absolute()


def test_flags_depend_on_the_machine_only():
    toolchain = find_toolchain()
    assert "-march=x86-64-v3" in toolchain.flags(resolve_target("x86-64-v3"))
    portable = toolchain.flags(resolve_target("c99"))
    assert not [flag for flag in portable if flag.startswith(("-march", "-fopenmp"))]
    assert "-ffp-contract=off" in portable


def test_units_become_one_library(store, tmp_path):
    units = {f"f{k}.c": UNIT.format(name=f"f{k}", value=k) for k in range(3)}
    content = build_library(units, find_toolchain(), native_machine(), store)
    path = tmp_path / "library.so"
    path.write_bytes(content)
    library = ctypes.CDLL(str(path))
    assert [library.f0(), library.f1(), library.f2()] == [0, 1, 2]


def test_objects_are_reused_and_only_changed_units_compiled(store):
    toolchain, machine = find_toolchain(), native_machine()
    units = {"a.c": UNIT.format(name="a", value=1), "b.c": UNIT.format(name="b", value=2)}
    build_library(units, toolchain, machine, store)
    assert len(store.entries("objects")) == 2
    units["b.c"] = UNIT.format(name="b", value=3)
    build_library(units, toolchain, machine, store)
    assert len(store.entries("objects")) == 3


def test_library_bytes_are_deterministic(store):
    toolchain, machine = find_toolchain(), native_machine()
    units = {"a.c": UNIT.format(name="a", value=1), "b.c": UNIT.format(name="b", value=2)}
    first = build_library(units, toolchain, machine, store)
    store.clear()
    assert build_library(units, toolchain, machine, store) == first


def test_refused_source_is_kept_and_quoted(store):
    with pytest.raises(BuildError, match=r"undeclared") as caught:
        build_library(
            {"bad.c": "int f(void) { return x; }\n"}, find_toolchain(), native_machine(), store
        )
    folder = Path(str(caught.value).partition("kept in ")[2].partition("\n")[0])
    assert (folder / "bad.c").read_text() == "int f(void) { return x; }\n"
    (folder / "bad.c").unlink()
    assert store.entries("objects") == []


def test_file_names_never_reach_a_shell(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    units = {"$(touch owned).c": UNIT.format(name="f", value=1)}
    build_library(units, find_toolchain(), native_machine(), store)
    assert not os.path.exists("owned")
