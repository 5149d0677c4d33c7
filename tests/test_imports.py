"""Imports go one way, stay relative inside the package, and the environment is read in one file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
ORDER = ["dialects", "costmodel", "passes", "codegen", "compiler"]
FILES = [path for layer in ORDER for path in sorted((ROOT / layer).rglob("*.py"))]


def imported_modules(path: Path, tree: ast.AST) -> Iterator[tuple[ast.stmt, tuple[str, ...]]]:
    """Each import statement that reaches into tilecast, with the module path below the root."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level > 0:
            base = package[: len(package) - node.level + 1]
            assert len(package) >= node.level - 1, f"{path}:{node.lineno} leaves the package"
            module = tuple(node.module.split(".")) if node.module else ()
            if base + module:
                yield node, base + module
            else:
                for name in node.names:
                    yield node, (name.name,)


def absolute_self_imports(tree: ast.AST) -> Iterator[int]:
    """Lines that import `tilecast...` by its absolute name."""
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module]
        if any(name.split(".")[0] == "tilecast" for name in names):
            yield node.lineno


def reads_environment(tree: ast.AST) -> Iterator[int]:
    """Lines that name `os.environ` or `os.getenv`, however imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv", "putenv"}:
            yield node.lineno
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            names = {alias.name for alias in node.names}
            if names & {"environ", "getenv", "putenv"}:
                yield node.lineno


def violations(path: Path) -> Iterator[str]:
    """What a file does against the rules, with its lines."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    name = path.relative_to(ROOT)
    layer = ORDER.index(name.parts[0])
    for node, module in imported_modules(path, tree):
        if module[0] in ORDER and ORDER.index(module[0]) > layer:
            allowed = " <- ".join(ORDER)
            yield f"{name}:{node.lineno} imports {'.'.join(module)}; allowed: {allowed}"
    for line in absolute_self_imports(tree):
        yield f"{name}:{line} imports tilecast by its absolute name"
    if path != ROOT / "compiler" / "options.py":
        for line in reads_environment(tree):
            yield f"{name}:{line} reads the environment, which options.py alone does"


def test_every_file_keeps_the_rules() -> None:
    assert len(FILES) > 500
    assert [violation for path in FILES for violation in violations(path)] == []


def test_the_checks_see_violations() -> None:
    """The walkers themselves: each kind of violation is found."""
    assert list(absolute_self_imports(ast.parse("import tilecast.passes"))) == [1]
    assert list(absolute_self_imports(ast.parse("from tilecast.passes import x"))) == [1]
    assert list(reads_environment(ast.parse("import os\nos.environ['A']"))) == [2]
    assert list(reads_environment(ast.parse("from os import getenv"))) == [1]
    path = ROOT / "passes" / "graph" / "x.py"
    tree = ast.parse("from ...compiler.driver import compile\nfrom ... import codegen")
    found = [module for _, module in imported_modules(path, tree)]
    assert found == [("compiler", "driver"), ("codegen",)]
    assert len(list(violations(ROOT / "compiler" / "options.py"))) == 0
