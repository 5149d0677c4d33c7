"""Every example compiles, verifies, equals eager, repeats its bits, and its package checks itself."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tilecast
import torch
from tilecast.compiler.verify.compare import compare
from tilecast.compiler.verify.eager import run_program
from torch import Tensor
from torch.utils._pytree import tree_leaves

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL = [
    ("mlp", "model"),
    ("lstm", "model"),
    ("bert", "model"),
    ("gpt2", "model"),
    ("gpt2", "single_token"),
    ("vit", "model"),
]
LARGE = [("resnet18", "model"), ("minilm", "model"), ("minilm", "batch_of_eight")]
EVERY = [*SMALL, *(pytest.param(*case, marks=pytest.mark.slow) for case in LARGE)]
TOOLS = ("cc", "make", "ar", "as", "ld", "sh", "mkdir", "rm", "echo")


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def entry(example: str, function: str) -> tuple[Any, tuple[Tensor, ...]]:
    module, inputs = getattr(load(example), function)()
    return module, inputs


def bits(outputs: Any) -> list[bytes]:
    return [tensor.numpy().tobytes() for tensor in tree_leaves(outputs)]


def check_outputs(compiled: Any, model: Any, inputs: tuple[Tensor, ...]) -> None:
    """Outputs for these inputs within the bound of the project, seen from float64."""
    program = torch.export.export(model, inputs)
    wide, native = (run_program(program, inputs, double=double) for double in (True, False))
    found = tree_leaves(compiled(*inputs))
    length = compiled.artifact.reduction_length
    for sides in zip(found, wide, native, strict=True):
        result = compare("model", "output", *(t.detach().numpy() for t in sides), length)
        assert result.passed, result


@pytest.mark.parametrize(("example", "function"), EVERY)
def test_example_verifies_and_equals_eager(example: str, function: str) -> None:
    model, inputs = entry(example, function)
    compiled = tilecast.compile(model, inputs, threads=2)
    assert compiled.report is not None
    assert compiled.report.passed
    assert {result.kind for result in compiled.report.results} == {"kernel", "model"}
    check_outputs(compiled, model, inputs)


@pytest.mark.parametrize(("example", "function"), EVERY)
def test_example_repeats_its_bits(example: str, function: str) -> None:
    model, inputs = entry(example, function)
    compiled = tilecast.compile(model, inputs, threads=2)
    expected = bits(compiled(*inputs))
    for _ in range(9):
        assert bits(compiled(*inputs)) == expected
    alone = tilecast.compile(model, inputs, threads=1, verify=False)
    assert bits(alone(*inputs)) == expected


@pytest.mark.parametrize("target", ["x86-64-v3", "c99"])
@pytest.mark.parametrize(
    ("example", "function"),
    [
        *SMALL[:2],
        *(pytest.param(*case, marks=pytest.mark.slow) for case in SMALL[2:]),
        pytest.param("resnet18", "model", marks=pytest.mark.slow),
    ],
)
def test_example_on_other_targets(example: str, function: str, target: str) -> None:
    model, inputs = entry(example, function)
    compiled = tilecast.compile(model, inputs, target=target)
    check_outputs(compiled, model, inputs)


@pytest.mark.parametrize(
    ("example", "function"),
    [SMALL[2], *(pytest.param(*case, marks=pytest.mark.slow) for case in SMALL[3:] + LARGE[:2])],
)
def test_package_of_example_checks_itself(example: str, function: str, tmp_path: Path) -> None:
    model, inputs = entry(example, function)
    package = tilecast.compile(model, inputs, threads=2).save(tmp_path / "out")
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in TOOLS:
        if found := shutil.which(tool):
            (tools / tool).symlink_to(found)
    done = subprocess.run(
        ["make", "-C", str(package), "check"],
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all outputs agree" in done.stdout


def test_a_row_does_not_depend_on_its_batch() -> None:
    model, (x,) = entry("mlp", "model")
    whole = tilecast.compile(model, (x,), threads=2)(x)
    for rows in (1, 7):
        part = tilecast.compile(model, (x[:rows],), threads=2, verify=False)(x[:rows])
        np.testing.assert_allclose(part.numpy(), whole[:rows].numpy(), rtol=1e-5, atol=1e-6)
