"""Target names to machines and compiler flags."""

from __future__ import annotations

import os

import archspec.cpu
import pytest
from tilecast.compiler import target
from tilecast.compiler.target import (
    architecture_flags,
    native_machine,
    physical_cores,
    resolve_target,
    target_names,
)
from tilecast.costmodel.gpu_roofline import multiprocessors_of
from tilecast.costmodel.matrix_unit import has_matrix_unit
from tilecast.dialects.errors import OptionError


@pytest.mark.parametrize(
    ("name", "isa", "lanes"),
    [
        ("c99", "scalar", 1),
        ("aarch64", "neon", 4),
        ("x86-64-v2", "scalar", 1),
        ("x86-64-v3", "avx2", 8),
        ("x86-64-v4", "avx512", 16),
        ("haswell", "avx2", 8),
        ("sapphirerapids", "avx512", 16),
        ("zen3", "avx2", 8),
        ("zen4", "avx512", 16),
        ("nehalem", "scalar", 1),
    ],
)
def test_vector_unit_of_known_targets(name, isa, lanes):
    machine = resolve_target(name)
    assert machine.isa == isa
    assert machine.lanes(4) == lanes


def test_every_listed_name_resolves():
    for name in target_names():
        assert resolve_target(name).isa in {"scalar", "neon", "avx2", "avx512"}


@pytest.mark.parametrize("name", ["x86-64-v9", "neoverse_n1", "", "sm_12"])
def test_unknown_target_lists_the_known_ones(name):
    with pytest.raises(OptionError, match=r"unknown target.*native, c99"):
        resolve_target(name)


def test_gpus_may_say_how_many_multiprocessors_they_have():
    usual, small = resolve_target("sm_90"), resolve_target("sm_90:7")
    assert (usual.name, small.name) == ("sm_90", "sm_90")
    assert (multiprocessors_of(usual), multiprocessors_of(small)) == (132, 7)


@pytest.mark.parametrize("name", ["sm_90:", "sm_90:0", "sm_70:80", "sm_80:x"])
def test_other_gpus_are_refused(name):
    with pytest.raises(OptionError, match="unknown target"):
        resolve_target(name)


def test_misspelled_target_gets_a_suggestion():
    with pytest.raises(OptionError, match="did you mean 'sapphirerapids'"):
        resolve_target("saphirerapids")


def test_native_machine_describes_this_one():
    machine = native_machine()
    assert machine is resolve_target("native")
    assert 1 <= machine.cores <= (os.cpu_count() or 1)
    assert machine.cores == physical_cores()
    assert (
        8 * 1024 <= machine.l1_bytes <= machine.l2_bytes <= max(machine.l3_bytes, machine.l2_bytes)
    )


def test_flags_name_the_architecture():
    assert "-march=x86-64-v4" in architecture_flags(resolve_target("x86-64-v4"), "gcc", "12.2.0")
    assert "-march=haswell" in architecture_flags(resolve_target("haswell"), "gcc", "12.2.0")
    assert "-march=x86-64-v4" in architecture_flags(resolve_target("zen4"), "gcc", "12.2.0")
    assert "-mtune=generic" in architecture_flags(resolve_target("zen3"), "gcc", "12.2.0")
    assert "-mtune=znver3" in architecture_flags(resolve_target("zen3"), "clang", "14.0.6")
    assert "-march=x86-64-v3" in architecture_flags(resolve_target("x86-64-v3"), "clang", "14.0.6")
    assert architecture_flags(resolve_target("c99"), "gcc", "12.2.0") == ()


def test_native_flags_hide_no_vector_unit():
    machine = native_machine()
    flags = " ".join(architecture_flags(machine, "gcc", "12.2.0"))
    assert machine.isa == "scalar" or "-m" in flags


@pytest.mark.parametrize("allowed", [True, False])
def test_tiles_are_used_where_the_system_keeps_them(
    allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpu = archspec.cpu.TARGETS["sapphirerapids"]
    monkeypatch.setattr(target.archspec.cpu, "host", lambda: cpu)
    monkeypatch.setattr(target, "may_use_tiles", lambda: allowed)
    machine = native_machine.__wrapped__()
    assert has_matrix_unit(machine) == allowed
    assert ("-mamx-bf16" in architecture_flags(machine, "gcc", "12.2.0")) == allowed
    assert "avx512_bf16" in machine.features
