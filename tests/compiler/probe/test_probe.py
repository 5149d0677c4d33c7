"""The probe measures every resource and remembers what it has measured."""

from __future__ import annotations

import json

from click.testing import CliRunner
from tilecast.compiler.cli import main
from tilecast.compiler.probe import probe
from tilecast.compiler.runtime.cache import Store
from tilecast.compiler.runtime.toolchain import find_toolchain
from tilecast.compiler.target import native_machine
from tilecast.costmodel.speeds import Speeds


def test_what_was_measured_is_found_again(tmp_path, monkeypatch):
    monkeypatch.setattr(probe, "BATCH_SECONDS", 1e-4)
    store, toolchain, machine = Store(tmp_path), find_toolchain(), native_machine()
    assert not probe.known_speeds(machine, toolchain, store).measured
    measured = probe.probe(machine, toolchain, store)
    assert measured.measured
    assert {b.threads for b in measured.bandwidths} <= {1, machine.cores}
    assert probe.known_speeds(machine, toolchain, store) == measured


def test_a_damaged_measurement_is_no_measurement(tmp_path, monkeypatch):
    monkeypatch.setattr(probe, "BATCH_SECONDS", 1e-4)
    store, toolchain, machine = Store(tmp_path), find_toolchain(), native_machine()
    probe.probe(machine, toolchain, store)
    [file] = tmp_path.glob("machines/*/speeds.json")
    file.write_text("{}")
    assert not probe.known_speeds(machine, toolchain, store).measured


def test_the_command_prints_what_it_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(probe, "BATCH_SECONDS", 1e-4)
    monkeypatch.setenv("TILECAST_CACHE_DIR", str(tmp_path))
    done = CliRunner().invoke(main, ["targets", "--probe", "--json"])
    assert done.exit_code == 0
    assert Speeds.from_json(json.dumps(json.loads(done.stdout))).measured
