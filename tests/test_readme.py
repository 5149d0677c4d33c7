"""README: its example runs, its commands and files exist, its option table is up to date."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
from click.testing import CliRunner
from tilecast.compiler.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_option_table_is_generated() -> None:
    script = runpy.run_path(str(ROOT / "docs" / "write_option_table.py"))
    assert script["with_tables"](README) == README, "run python docs/write_option_table.py"
    assert "| `target` |" in README


def test_the_example_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    [example] = blocks("python")
    assert len(example.strip().splitlines()) <= 12
    exec(compile(example, "README.md", "exec"), {})


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"\bmake ([a-z][a-z-]*)", README)) - {"compare"}
    assert {"demo", "test", "lint", "peers", "help"} <= named
    for target in named:
        assert re.search(rf"^{target}: .*## ", makefile, re.MULTILINE), target


def test_verbs_exist_with_help() -> None:
    verbs = set(re.findall(r"^tilecast ([a-z]+)", "\n".join(blocks("sh")), re.MULTILINE))
    assert verbs <= set(main.commands)
    for verb in main.commands:
        assert CliRunner().invoke(main, [verb, "--help"]).exit_code == 0


def test_the_commands_run_in_their_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The command block as it stands, with the output folder moved into a temporary one."""
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setenv("TILECAST_CACHE_DIR", str(tmp_path / "cache"))
    for line in blocks("sh")[1].strip().splitlines():
        arguments = line.replace("build/", f"{tmp_path}/").split()[1:]
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, f"{line}\n{result.output}"


def test_folders_of_the_map_exist() -> None:
    [table] = re.findall(r"\| folder \|.*?\n\n", README, re.DOTALL)
    for folder in re.findall(r"`([a-z/]+/)`", table):
        assert (ROOT / folder).is_dir(), folder
