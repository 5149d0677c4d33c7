"""Every example verifies, equals eager and repeats its bits; its package checks itself."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import tilecast
import torch
from tilecast.compiler.runtime.model import CompiledModel
from tilecast.compiler.verify.compare import compare
from tilecast.compiler.verify.definite import DefiniteInterpreter
from tilecast.compiler.verify.eager import DoubleInterpreter, run_program
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

EXAMPLES = Path(__file__).parents[2] / "examples"
TOOLS = ("cc", "make", "ar", "as", "ld", "sh", "mkdir", "rm", "echo")


@dataclass(frozen=True)
class Case:
    """An example's entry, and where it takes long a smaller input for the run by default."""

    example: str
    entry: str = "model"
    shrink: Callable[[Tensor], Tensor] = lambda x: x
    label: str = ""

    def __str__(self) -> str:
        return f"{self.example}-{self.entry}{self.label}"

    def load(self) -> tuple[nn.Module, tuple[Tensor, ...]]:
        """The model, and inputs for it."""
        path = EXAMPLES / f"{self.example}.py"
        spec = importlib.util.spec_from_file_location(self.example, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        model, inputs = getattr(module, self.entry)()
        return model, tuple(self.shrink(x) for x in inputs)


def slow(case: Case) -> Any:
    return pytest.param(case, marks=pytest.mark.slow, id=str(case))


MLP = Case("mlp")
SHORT_LSTM = Case("lstm", shrink=lambda x: x[:, :3], label="-3-steps")
SHORT_BERT = Case("bert", shrink=lambda x: x[:, :9], label="-9-tokens")
SMALL_RESNET = Case("resnet18", shrink=lambda x: x[..., :40, :33].contiguous(), label="-40x33")
TOKEN = Case("gpt2", "single_token")
DEFAULT = [MLP, SHORT_LSTM, SHORT_BERT, TOKEN, Case("vit"), SMALL_RESNET]
FULL = [Case("gpt2"), Case("lstm"), Case("bert"), Case("resnet18"), Case("keyword_spotting")]
FULL += [Case("mobilenet_v2")]
FULL += [Case("minilm"), Case("minilm", "batch_of_eight")]
EVERY = [*DEFAULT, *map(slow, FULL)]


def bits(outputs: Any) -> list[bytes]:
    return [tensor.numpy().tobytes() for tensor in tree_leaves(outputs)]


def check_outputs(compiled: Any, model: Any, inputs: tuple[Tensor, ...]) -> None:
    """Outputs for these inputs within the bound of the project, seen from float64."""
    program = torch.export.export(model, inputs)
    wide, native = (
        run_program(program, inputs, kind) for kind in (DoubleInterpreter, DefiniteInterpreter)
    )
    found = tree_leaves(compiled(*inputs))
    length = compiled.artifact.reduction_length
    for sides in zip(found, wide, native, strict=True):
        result = compare("model", "output", *(t.detach().numpy() for t in sides), length)
        assert result.passed, result


@pytest.mark.parametrize("case", EVERY, ids=str)
def test_example_verifies_and_equals_eager(case: Case) -> None:
    model, inputs = case.load()
    compiled = tilecast.compile(model, inputs, threads=2)
    assert compiled.report is not None
    assert compiled.report.passed
    assert {result.kind for result in compiled.report.results} == {"kernel", "model"}
    check_outputs(compiled, model, inputs)


@pytest.mark.parametrize("case", EVERY, ids=str)
def test_example_repeats_its_bits(case: Case) -> None:
    model, inputs = case.load()
    compiled = tilecast.compile(model, inputs, threads=2)
    expected = bits(compiled(*inputs))
    for _ in range(9):
        assert bits(compiled(*inputs)) == expected
    alone = CompiledModel(replace(compiled.artifact, threads=1))
    assert bits(alone(*inputs)) == expected


@pytest.mark.slow
@pytest.mark.parametrize("case", DEFAULT, ids=str)
def test_compiled_for_one_thread_has_the_same_bits(case: Case) -> None:
    model, inputs = case.load()
    one, two = (tilecast.compile(model, inputs, threads=n, verify=False) for n in (1, 2))
    assert bits(one(*inputs)) == bits(two(*inputs))


OTHER_TARGETS = [MLP]


@pytest.mark.parametrize("target", ["x86-64-v3", "c99"])
@pytest.mark.parametrize(
    "case", [*OTHER_TARGETS, *map(slow, [c for c in DEFAULT if c not in OTHER_TARGETS])], ids=str
)
def test_example_on_other_targets(case: Case, target: str) -> None:
    model, inputs = case.load()
    check_outputs(tilecast.compile(model, inputs, target=target, verify=False), model, inputs)


@pytest.mark.parametrize("case", [SHORT_BERT, *map(slow, [*DEFAULT[3:], *FULL[:5]])], ids=str)
def test_package_of_example_checks_itself(case: Case, tmp_path: Path) -> None:
    model, inputs = case.load()
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


def test_every_example_model_has_a_case() -> None:
    models = {path.stem for path in EXAMPLES.glob("*.py") if "def model(" in path.read_text()}
    # silero_vad needs weights from a package and has a test of its own
    assert models - {"silero_vad"} == {case.example for case in [*DEFAULT, *FULL]}
