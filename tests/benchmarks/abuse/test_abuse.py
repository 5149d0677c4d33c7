"""Nothing is lost or half-written where processes are killed, compete, or find the disk full."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3]))

from benchmarks.abuse.crowd import compile_in_a_crowd
from benchmarks.abuse.full_disk import on_small_disks, with_small_files
from benchmarks.abuse.kills import damaged_entries, damaged_files, kill_compiles, kill_saves
from benchmarks.abuse.models import cache_in, compiled, model
from benchmarks.abuse.soak import growth, wrong_answers

pytestmark = pytest.mark.slow


def test_a_killed_process_leaves_the_old_package_or_the_new_one(tmp_path: Path) -> None:
    damage = kill_saves(tmp_path, trials=100)
    assert damage.wrong == []
    assert damage.interrupted == 100


def test_a_killed_compilation_leaves_a_whole_cache(tmp_path: Path) -> None:
    damage = kill_compiles(tmp_path, trials=100)
    assert damage.wrong == []
    assert damage.interrupted > 50


def test_damage_is_found(tmp_path: Path) -> None:
    with cache_in(tmp_path / "cache"):
        out = compiled(0).save(tmp_path / "out")
    assert damaged_files(out) == damaged_entries(tmp_path / "cache") == []
    (out / "README.txt").write_text("")
    assert damaged_files(out) == ["README.txt"]
    library = next((tmp_path / "cache" / "models").glob("*/library.so"))
    library.write_bytes(library.read_bytes()[:-1])
    assert len(damaged_entries(tmp_path / "cache")) == 1


def test_twenty_processes_build_a_model_once(tmp_path: Path) -> None:
    assert compile_in_a_crowd(tmp_path, 20) == (20, 1, 1)


def test_files_that_may_not_grow_are_one_error(tmp_path: Path) -> None:
    results = with_small_files(tmp_path)
    assert {limit: wrong for limit, (_, wrong) in results.items() if wrong} == {}
    assert results[100][0]
    assert not results[1_000_000][0]


def test_a_full_disk_is_one_error(tmp_path: Path) -> None:
    try:
        results = on_small_disks(tmp_path)
    except PermissionError as error:
        pytest.skip(str(error))
    assert {name: wrong for name, (_, wrong) in results.items() if wrong} == {}
    assert any(error for error, _ in results.values())


def test_a_million_calls_take_no_memory(tmp_path: Path) -> None:
    with cache_in(tmp_path):
        assert growth(compiled(0), model(0)[1], 1_000_000) < 1 << 20


def test_eight_threads_get_the_bits_of_one(tmp_path: Path) -> None:
    with cache_in(tmp_path):
        models = [compiled(seed) for seed in (0, 1)]
    assert wrong_answers(models, model(0)[1], threads=8, calls=2000) == 0
