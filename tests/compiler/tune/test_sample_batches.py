"""Schedules that are built many per library and timed in a process of their own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from tilecast.compiler.cli import main
from tilecast.compiler.runtime.toolchain import find_toolchain
from tilecast.compiler.target import native_machine
from tilecast.compiler.tune.sample_build import Draft, build_drafts
from tilecast.compiler.tune.sample_run import measure_program, read_built
from tilecast.compiler.tune.training_data import read_scop
from tilecast.costmodel.data.samples import DataSet, Sample, unpack
from tilecast.dialects.errors import InvalidInputError

from .test_training_data import described, scop_text


def test_a_batch_has_a_sample_per_schedule_and_failures_have_reasons(tmp_path: Path):
    scop = read_scop(scop_text(20))
    drafts = [Draft("t", scop, s) for s in ("", "split(S0.i1, 4, o, i)", "unroll(nothing)")]
    machine, toolchain = native_machine(), find_toolchain()
    batch = build_drafts(drafts, tmp_path, machine, 1, toolchain)
    built = [function for function, _ in batch.built]
    assert (
        [b.steps for b in built] == [b.steps for b in read_built(tmp_path)] == ["", drafts[1].steps]
    )
    assert all(b.instructions > 5 and 0 < b.registers <= 32 for b in built)
    assert all(text.lines and text.live_vectors for _, text in batch.built)
    [(failed, why)] = batch.failures
    assert failed.steps == "unroll(nothing)"
    assert "nothing" in why
    samples = measure_program(tmp_path, 1)
    assert [s.steps for s in samples] == ["", drafts[1].steps]
    assert all(s.seconds is not None and 0 < s.seconds < 1 and s.runs >= 3 for s in samples)


def test_a_crash_is_a_failure_of_its_program(tmp_path: Path):
    scop = read_scop(scop_text(20))
    build_drafts([Draft("t", scop, "")], tmp_path, native_machine(), 1, find_toolchain())
    (tmp_path / "batch0.so").write_bytes(b"no library")
    [sample] = measure_program(tmp_path, 1)
    assert sample.failure == "crash"


def test_a_packed_data_set_reads_like_the_folder(tmp_path: Path):
    data = DataSet(tmp_path / "data")
    data.add_sample(Sample("t", "", 2e-3, 0.01, 3, choice="rules"))
    data.add_sample(Sample("t", "", 1e-3, 0.01, 3, choice="rules"))
    packed = tmp_path / "packed"
    packed.mkdir()
    data.pack(packed / "data.tar.xz")
    with DataSet.opened(packed) as opened:
        assert opened.samples() == data.samples()
        assert [s.seconds for s in opened.samples()] == [1e-3]


def test_samples_of_a_model_are_built_first_and_measured_later(tmp_path: Path):
    run = CliRunner()
    command = ["costmodel", "collect", "--data", str(tmp_path), "--schedules", "2", "--json"]
    nothing = run.invoke(main, command)
    assert nothing.exit_code != 0
    assert "nothing is built" in nothing.stderr
    built = run.invoke(main, [*command, "examples.mlp:model", "--prepare"])
    assert built.exit_code == 0, built.output
    assert json.loads(built.stdout)["samples"] == 0
    measured = json.loads(run.invoke(main, command).stdout)
    assert measured["tasks"] >= 1
    assert measured["samples"] == measured["measured now"] > 0


def test_programs_measured_anew_take_the_place_of_older_ones(tmp_path: Path):
    new, old = DataSet(tmp_path / "new"), DataSet(tmp_path / "old")
    for data, names in ((new, "ab"), (old, "bc")):
        for name in names:
            data.add_task(described(name, "family"), f"{data.folder.name} {name}")
            data.add_sample(Sample(name, "", 1.0 if data is new else 2.0))
    new.absorb(old)
    assert [t.name for t in new.tasks()] == ["a", "b", "c"]
    assert [s.seconds for s in new.samples()] == [1.0, 1.0, 2.0]
    assert [new.scop_text(name) for name in "abc"] == ["new a", "new b", "old c"]


def test_another_archive_is_refused(tmp_path: Path):
    import tarfile

    (tmp_path / "evil").write_text("x")
    with tarfile.open(tmp_path / "data.tar.xz", "w:xz") as archive:
        archive.add(tmp_path / "evil", "../evil")
    with pytest.raises(InvalidInputError, match="is no data set"):
        unpack(tmp_path / "data.tar.xz", tmp_path / "out")
    (tmp_path / "data.tar.xz").write_bytes(b"truncated")
    with pytest.raises(InvalidInputError, match="is no data set"):
        unpack(tmp_path / "data.tar.xz", tmp_path / "out")
