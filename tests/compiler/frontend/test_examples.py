"""Every example imports, equals eager in float64, and still does after all graph passes."""

import copy
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from tilecast.compiler.frontend.export import export_model
from tilecast.compiler.frontend.program import import_program
from tilecast.dialects.reference.graph import evaluate
from tilecast.passes.context import CompileContext
from tilecast.passes.registry import load_pass
from torch.utils._pytree import tree_leaves

EXAMPLES = Path(__file__).parents[3] / "examples"
CASES = [
    ("mlp", "model"),
    ("lstm", "model"),
    ("resnet18", "model"),
    ("bert", "model"),
    ("gpt2", "model"),
    ("gpt2", "single_token"),
    ("vit", "model"),
    ("minilm", "model"),
    ("keyword_spotting", "model"),
    ("mobilenet_v2", "model"),
]
PIPELINE = ("canonicalize", "fold-constants", "canonicalize", "fold-batch-norm", "canonicalize")


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def case(name: str, entry: str) -> Any:
    """MiniLM is BERT with other sizes."""
    return pytest.param(name, entry, marks=pytest.mark.slow if name == "minilm" else ())


@pytest.mark.parametrize(("name", "entry"), [case(*c) for c in CASES])
def test_example_equals_eager_before_and_after_the_graph_passes(name: str, entry: str) -> None:
    module, inputs = getattr(load(name), entry)()
    model = import_program(export_model(module, inputs))
    wide = [x.double() if x.is_floating_point() else x for x in inputs]
    with torch.no_grad():
        expected = [y.numpy() for y in tree_leaves(copy.deepcopy(module).double()(*wide))]

    arrays = [x.numpy() for x in inputs]
    before = evaluate(model.module, model.weights, arrays)
    for spec, want in zip(model.outputs, expected, strict=True):
        np.testing.assert_allclose(before[spec.index], want, rtol=1e-9, atol=1e-11)

    context = CompileContext(weights=model.weights)
    for step in PIPELINE:
        load_pass(step)().apply(context, model.module)
        model.module.verify()
    after = evaluate(model.module, model.weights, arrays)
    for got, want in zip(after, before, strict=True):
        # folded constants are rounded to the model's float32
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_every_example_model_has_a_case() -> None:
    models = {path.stem for path in EXAMPLES.glob("*.py") if "def model(" in path.read_text()}
    # silero_vad needs weights from a package; tests/e2e/test_silero_vad.py has its test
    assert models - {"silero_vad"} == {name for name, _ in CASES}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [path.stem for path in sorted(EXAMPLES.glob("*.py")) if "__main__" in path.read_text()]
)
def test_every_example_of_the_gallery_runs(name: str) -> None:
    command = [sys.executable, "-m", f"examples.{name}"]
    done = subprocess.run(command, cwd=EXAMPLES.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_gallery_is_complete() -> None:
    gallery = (EXAMPLES.parent / "docs" / "examples.md").read_text()
    runs = {path.stem for path in EXAMPLES.glob("*.py") if "__main__" in path.read_text()}
    assert runs == set(re.findall(r"python -m examples\.(\w+)", gallery))
