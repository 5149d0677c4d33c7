"""Data sets: what is written is read, by lines that survive a kill."""

from __future__ import annotations

import pytest
from tilecast.compiler.target import resolve_target
from tilecast.costmodel.data.samples import DataSet, Sample, Task, merged
from tilecast.costmodel.speeds import estimated_speeds
from tilecast.dialects.errors import InvalidInputError

MACHINE = resolve_target("zen4")


def task(name: str = "gemm-small") -> Task:
    return Task(name, "gemm", MACHINE, 2, "gcc 12", estimated_speeds(MACHINE))


def test_tasks_and_samples_come_back(tmp_path):
    data = DataSet(tmp_path)
    for _ in range(2):
        data.add_task(task(), "builtin.module {}")
    samples = [
        Sample("gemm-small", "", 0.5, 0.01, 3),
        Sample("gemm-small", "unroll(i)", None, failure="wrong", detail="x\ny"),
    ]
    for sample in samples:
        data.add_sample(sample)
    assert data.tasks() == [task()]
    assert data.samples() == samples
    assert data.scop_text("gemm-small") == "builtin.module {}"


def test_the_last_sample_of_a_schedule_counts(tmp_path):
    data = DataSet(tmp_path)
    for seconds in (2.0, 1.0):
        data.add_sample(Sample("t", "", seconds))
    assert [s.seconds for s in data.samples()] == [1.0]


def test_a_line_that_a_killed_process_left_costs_only_itself(tmp_path):
    data = DataSet(tmp_path)
    for k in range(2):
        data.add_sample(Sample("t", f"unroll(i{k})", 1.0))
    path = tmp_path / "samples.jsonl"
    path.write_bytes(path.read_bytes()[:-30])
    data.add_sample(Sample("t", "unroll(i2)", 1.0))
    assert [s.steps for s in data.samples()] == ["unroll(i0)", "unroll(i2)"]


@pytest.mark.parametrize(
    "line",
    [
        '{"schema": 99}',
        "[]",
        "1",
        "{}",
        "x" * (1 << 21),
        '{"schema": 1, "task": "t"}',
        '{"schema": 1, "task": "t", "steps": "", "seconds": -1}',
        '{"schema": 1, "task": "t", "steps": "", "seconds": NaN}',
        '{"schema": 1, "task": "t", "steps": "", "seconds": "1"}',
        '{"schema": 1, "task": "t", "steps": [], "seconds": 1}',
        '{"schema": 1, "task": "t", "steps": "", "seconds": 1, "more": 1}',
    ],
)
def test_other_files_are_refused(tmp_path, line):
    (tmp_path / "samples.jsonl").write_text(line + "\n")
    with pytest.raises(InvalidInputError):
        DataSet(tmp_path).samples()


@pytest.mark.parametrize("name", ["../x", "", "a/b", ".hidden", "x" * 200])
def test_names_that_are_paths_are_refused(tmp_path, name):
    with pytest.raises(InvalidInputError, match="no name of a task"):
        task(name)
    with pytest.raises(InvalidInputError, match="no name of a task"):
        DataSet(tmp_path).scop_text(name)


def test_samples_whose_runs_differ_are_noisy():
    assert Sample("t", "", 1.0, 0.5, 9).is_noisy
    assert not Sample("t", "", 1.0, 0.05, 9).is_noisy
    assert not Sample("t", "", None, failure="wrong").is_noisy


def test_a_time_that_came_out_twice_is_good():
    long, short = Sample("t", "", 1.02, 0.5, 15), Sample("t", "", 1.0, 0.4, 9)
    for pair in ((long, short), (short, long)):
        both = merged(*pair)
        assert (both.seconds, both.runs) == (1.0, 24)
        assert both.noise == pytest.approx(0.02)
        assert both.halves == (1.0, 1.02)
    assert merged(Sample("t", "", 2.0, 0.4, 9), short).is_noisy
    failed = Sample("t", "", None, failure="crash")
    assert merged(failed, short) == merged(short, failed) == short


def test_archives_of_several_machines_are_read_as_one(tmp_path):
    for machine in ("a", "b"):
        data = DataSet(tmp_path / machine)
        data.add_task(task(f"{machine}.gemm"), f"// {machine}")
        data.add_sample(Sample(f"{machine}.gemm", "", 1.0))
        data.pack(tmp_path / f"{machine}.tar.xz")
    with DataSet.opened(tmp_path) as both:
        assert [t.name for t in both.tasks()] == ["a.gemm", "b.gemm"]
        assert [s.task for s in both.samples()] == ["a.gemm", "b.gemm"]
        assert both.scop_text("b.gemm") == "// b"
