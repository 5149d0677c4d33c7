"""Options: precedence, names, values."""

from __future__ import annotations

from pathlib import Path

import pytest
from tilecast.compiler.options import OPTIONS, Options, resolve_options
from tilecast.dialects.errors import OptionError


@pytest.fixture(autouse=True)
def empty_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for spec in OPTIONS:
        monkeypatch.delenv(spec.variable, raising=False)
    monkeypatch.delenv("TILECAST_NO_CACHE", raising=False)


def write_project(folder: Path, text: str) -> None:
    (folder / "pyproject.toml").write_text(f"[tool.tilecast]\n{text}\n")


def test_defaults_are_those_of_the_table():
    assert resolve_options({}) == Options(**{spec.name: spec.default for spec in OPTIONS})


def test_argument_wins_over_variable_over_project_over_default(tmp_path, monkeypatch):
    write_project(tmp_path, "threads = 2")
    assert resolve_options({}).threads == 2
    monkeypatch.setenv("TILECAST_THREADS", "3")
    assert resolve_options({}).threads == 3
    assert resolve_options({"threads": 4}).threads == 4


def test_nearest_project_counts_even_without_a_table(tmp_path, monkeypatch):
    write_project(tmp_path, "threads = 2")
    inner = tmp_path / "inner"
    inner.mkdir()
    monkeypatch.chdir(inner)
    assert resolve_options({}).threads == 2
    (inner / "pyproject.toml").write_text("")
    assert resolve_options({}).threads is None


def test_unknown_option_is_refused_with_a_suggestion():
    with pytest.raises(OptionError, match=r"did you mean 'threads'\?.*Known options: target"):
        resolve_options({"thread": 2})


def test_unknown_option_in_a_project_names_the_file(tmp_path):
    write_project(tmp_path, "colour = 'red'")
    with pytest.raises(OptionError, match=r"'colour'.*pyproject.toml"):
        resolve_options({})


def test_damaged_project_file_is_one_error(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool.tilecast\n")
    with pytest.raises(OptionError, match="cannot be read as TOML"):
        resolve_options({})


@pytest.mark.parametrize(
    "given",
    [
        {"threads": 0},
        {"threads": -1},
        {"threads": 2.0},
        {"threads": "two"},
        {"threads": True},
        {"verify": 1},
        {"target": 4},
        {"target": None},
        {"name": "2fast"},
        {"name": "a-b"},
        {"name": ""},
        {"stop_after": "linking"},
        {"dump_dir": 5},
    ],
)
def test_wrong_value_is_refused(given):
    with pytest.raises(OptionError, match=next(iter(given))):
        resolve_options(given)


@pytest.mark.parametrize(
    ("variable", "text"),
    [("TILECAST_THREADS", "many"), ("TILECAST_VERIFY", "maybe"), ("TILECAST_STOP_AFTER", "x")],
)
def test_wrong_variable_is_refused(monkeypatch, variable, text):
    monkeypatch.setenv(variable, text)
    with pytest.raises(OptionError):
        resolve_options({})


@pytest.mark.parametrize(("text", "value"), [("0", False), ("off", False), ("1", True)])
def test_bool_variable(monkeypatch, text, value):
    monkeypatch.setenv("TILECAST_VERIFY", text)
    assert resolve_options({}).verify is value


@pytest.mark.parametrize("spec", [s for s in OPTIONS if not s.available], ids=lambda s: s.name)
def test_option_of_later_work_is_refused_unless_default(spec):
    assert resolve_options({spec.name: spec.default}) == resolve_options({})
    with pytest.raises(OptionError, match=f"{spec.name}=.*not available yet"):
        resolve_options({spec.name: "bf16"})


def test_no_cache_variable_turns_the_cache_off(monkeypatch):
    monkeypatch.setenv("TILECAST_NO_CACHE", "1")
    assert resolve_options({}).cache is False
    monkeypatch.setenv("TILECAST_NO_CACHE", "0")
    assert resolve_options({}).cache is True


def test_paths_become_paths():
    assert resolve_options({"dump_dir": "ir"}).dump_dir == Path("ir")


@pytest.mark.parametrize(
    ("text", "size"),
    [("65536", 65536), (4096, 4096), ("256KB", 1 << 18), ("1.5 kib", 1536), ("1MB", 1 << 20)],
)
def test_memory_budget_in_bytes(text, size):
    assert resolve_options({"max_memory": text}).memory_budget == size


@pytest.mark.parametrize("text", ["", "much", "-1", "0", "12 bits", "1e6"])
def test_wrong_memory_budget_is_refused(text):
    with pytest.raises(OptionError, match=r"max_memory.*256KB"):
        resolve_options({"max_memory": text})
