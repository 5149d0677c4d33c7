"""The distribution's package list, entry points and pins agree with the tree."""

from __future__ import annotations

import tomllib
from importlib import import_module
from pathlib import Path

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
