"""`tilecast targets`: the names that `--target` takes, and what the machine at hand reaches."""

from __future__ import annotations

import json

import click

from ...costmodel.speeds import Speeds
from ..probe.probe import probe
from ..runtime.cache import open_store
from ..runtime.toolchain import find_toolchain
from ..target import native_machine, resolve_target, target_names
from .output import json_flag, print_json, print_table


@click.command("targets")
@click.option("--probe", "measure", is_flag=True, help="Measure this machine, for cost models.")
@json_flag
def targets_command(measure: bool, as_json: bool) -> None:
    """List the targets and the vector unit that each is compiled for."""
    if measure:
        print_speeds(probe(native_machine(), find_toolchain(), open_store()), as_json)
        return
    machines = [(name, resolve_target(name)) for name in target_names()]
    if as_json:
        print_json([{"target": n, "cpu": m.name, "isa": m.isa} for n, m in machines])
    else:
        print_table(["target", "cpu", "isa"], [[n, m.name, m.isa] for n, m in machines])


def print_speeds(speeds: Speeds, as_json: bool) -> None:
    """What was measured, in units that people know."""
    if as_json:
        print_json(json.loads(speeds.to_json()))
        return
    rows = [[f"{name}, one core", f"{f / 1e9:.1f} Gop/s"] for name, f in speeds.flops.items()]
    for b in speeds.bandwidths:
        label = f"{b.level}, {b.threads} thread{'s' if b.threads > 1 else ''}"
        rows.append([label, f"read {b.read / 1e9:.1f} GB/s, copy {b.copy / 1e9:.1f} GB/s"])
    for threads, seconds in speeds.regions.items():
        rows.append([f"parallel region of {threads}", f"{seconds * 1e6:.2f} us"])
    print_table(["resource", "measured"], rows)
