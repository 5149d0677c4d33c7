"""The distribution's package list, entry points and pins agree with the tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from functools import partial
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
NOT_SHIPPED = {"tests", "benchmarks", "examples", "docs", "build"}


def packages_in_tree() -> set[str]:
    """Dotted names of all folders that hold an `__init__.py`, the root being `tilecast`."""
    found = set()
    for path in ROOT.rglob("__init__.py"):
        parts = path.parent.relative_to(ROOT).parts
        if parts and (parts[0] in NOT_SHIPPED or any(p.startswith(".") for p in parts)):
            continue
        found.add(".".join(("tilecast", *parts)))
    return found


def test_package_list_equals_the_tree() -> None:
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == packages_in_tree()


def test_every_module_folder_is_a_package() -> None:
    for package in packages_in_tree():
        folder = ROOT.joinpath(*package.split(".")[1:])
        for child in folder.iterdir():
            if not child.is_dir() or child.name.startswith(".") or child.name == "__pycache__":
                continue
            if folder == ROOT and child.name in NOT_SHIPPED | {"docs"}:
                continue
            if any(child.glob("*.py")):
                assert (child / "__init__.py").exists(), f"{child} has no __init__.py"


def test_data_files_are_shipped() -> None:
    """Each non-Python file inside a package is named by package-data."""
    patterns = PROJECT["tool"]["setuptools"]["package-data"]
    for package in packages_in_tree() - {"tilecast"}:
        folder = ROOT.joinpath(*package.split(".")[1:])
        shipped = {p for pattern in patterns.get(package, []) for p in folder.glob(pattern)}
        for path in folder.iterdir():
            if path.is_file() and path.suffix not in {".py", ".pyc"}:
                assert path in shipped, f"{path} is not in package-data of {package}"


def test_entry_points_resolve() -> None:
    project = PROJECT["project"]
    groups = [project["scripts"], *project["entry-points"].values()]
    for group in groups:
        for target in group.values():
            module, _, attribute = target.partition(":")
            assert callable(getattr(import_module(module), attribute)), target


def test_the_environment_is_pinned() -> None:
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    assert "torch==2.13.0" in pins
    assert "xdsl==0.74.0" in pins
    assert all("==" in pin for pin in pins)


@pytest.mark.slow
def test_an_installed_wheel_has_all_that_it_needs(tmp_path: Path) -> None:
    """Built from a copy of the tree, installed alone into a folder, run from elsewhere."""
    names = {p.split(".")[1] for p in packages_in_tree() if "." in p}
    source = tmp_path / "source"
    source.mkdir()
    for path in ROOT.iterdir():
        if path.is_dir() and path.name in names:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(path, source / path.name, ignore=ignored)
        elif path.is_file():
            shutil.copy(path, source / path.name)
    run = partial(subprocess.run, capture_output=True, text=True, cwd=tmp_path)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    alone = ["--no-deps", "--no-index"]
    built = run([*pip, "wheel", *alone, "--no-build-isolation", "-w", "wheels", str(source)])
    assert built.returncode == 0, built.stderr
    (wheel,) = (tmp_path / "wheels").glob("tilecast-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        shipped = set(archive.namelist())
        entry_points = next(n for n in shipped if n.endswith("entry_points.txt"))
        assert "tilecast = tilecast.compiler.cli:main" in archive.read(entry_points).decode()
    for name in names:
        for path in (ROOT / name).rglob("*"):
            if path.is_file() and path.suffix != ".pyc":
                assert f"tilecast/{path.relative_to(ROOT)}" in shipped
    installed = run([*pip, "install", *alone, "--target", "installed", str(wheel)])
    assert installed.returncode == 0, installed.stderr
    body = "return torch.nn.Linear(4, 3).eval(), (torch.ones(2, 4),)"
    (tmp_path / "small.py").write_text(f"import torch\n\ndef model():\n    {body}\n")
    command = "import tilecast; print(tilecast.__file__); from tilecast.compiler.cli import main"
    arguments = ["compile", "small:model", "-o", "out", "--cost-model", "pretrained"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}
    environment["TILECAST_CACHE_DIR"] = str(tmp_path / "cache")
    done = run([sys.executable, "-c", f"{command}; main()", *arguments], env=environment)
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "installed") in done.stdout
    assert (tmp_path / "out" / "manifest.json").exists()
