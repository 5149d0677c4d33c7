"""Kernels of a model under recorded choices: built as a compilation does, and right."""

from __future__ import annotations

from pathlib import Path

import tilecast
import torch
from tilecast.compiler.runtime.toolchain import find_toolchain
from tilecast.compiler.target import native_machine
from tilecast.compiler.tune.expectation import record_expectation
from tilecast.compiler.tune.libraries import BuildPool, Library
from tilecast.compiler.tune.model_tasks import kernel_tasks
from tilecast.compiler.tune.run_process import RunProcess


def test_choices_of_the_rules_pack_weights_and_give_right_results(tmp_path: Path) -> None:
    model, inputs = torch.nn.Linear(48, 40).eval(), (torch.randn(20, 48),)
    structure = tilecast.compile(model, inputs, stop_after="structure")
    machine, toolchain = native_machine(), find_toolchain()
    [made] = kernel_tasks(structure, tmp_path, machine, toolchain, 1)
    record_expectation(made.task, made.text)
    assert made.calls == 1
    pool, runner = BuildPool(made.task, 1), RunProcess(made.task)
    try:
        for built in pool.build(["rules", "tile_rows=4"], 60.0):
            assert isinstance(built, Library)
            assert built.packed
            assert runner.ask("check", built, 60.0)["wrong"] == ""
            runner.forget(built)
    finally:
        pool.close()
        runner.close()
