"""Parallel kernels under ThreadSanitizer: no two threads touch an element without a barrier."""

from __future__ import annotations

import shutil
import sys
from math import prod
from pathlib import Path
from typing import Any

import pytest
import tilecast
import torch
from tilecast.codegen.c import emit_unit
from tilecast.compiler.kernels.lowering import LoweredKernel
from tilecast.compiler.kernels.program import load_program
from tilecast.compiler.target import architecture_flags, resolve_target
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.abuse.sanitizers import (
    RACES,
    UncleanError,
    check_races,
    regions,
    run,
    threads_object,
)
from benchmarks.polybench import load_all
from benchmarks.zoo import zoo_model

BENCHMARKS = load_all()
TYPES = {"f64": "double", "f32": "float", "i8": "int8_t", "i32": "int32_t", "i64": "int64_t"}
RACE = """\
void GOMP_barrier(void);
int main(void) {
  int sum = 0;
#pragma omp parallel
  {
    sum += 1;
    BARRIER
    sum += 2;
  }
  return sum < 0;
}
"""

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")


def check_model(module: nn.Module, inputs: Any, folder: Path, **options: Any) -> int:
    """Build a package with the sanitizer and run its check; the number of parallel regions."""
    package = tilecast.emit(module, inputs, folder / "out", target="native", threads=4, **options)
    return check_races(package, folder)


def check_kernel(name: str, folder: Path) -> int:
    """A PolyBench kernel at MINI size; the number of parallel regions."""
    machine = resolve_target("native")
    lowered = LoweredKernel.from_program(
        load_program(BENCHMARKS[name].bind("SMALL"), None), None, "kernel", machine, 4
    )
    lowered.lower(None, None)
    (folder / "kernel.c").write_text(emit_unit([lowered.func], machine))
    arguments: list[Any] = [argument.type for argument in lowered.func.body.block.args]
    lines = ["#include <stdint.h>", "#include <stdlib.h>", "void kernel();", "int main(void) {"]
    for k, type in enumerate(arguments):
        element = TYPES[str(type.element_type)]
        bytes = 64 * (prod(type.get_shape()) // 8 + 9)  # at least 64 elements more, of 8 bytes
        lines += [f"  {element} *a{k} = aligned_alloc(64, {bytes});"]
        lines += [f"  for (int i = 0; i < {prod(type.get_shape())}; i++) a{k}[i] = 1 + i % 3;"]
    lines += [f"  kernel({', '.join(f'a{k}' for k in range(len(arguments)))});", "  return 0;", "}"]
    (folder / "main.c").write_text("\n".join(lines) + "\n")
    flags = ["-g", "-O1", "-fopenmp", "-ffp-contract=off", RACES]
    flags += architecture_flags(machine, "gcc", "12.0.0")
    sources = [folder / "main.c", folder / "kernel.c", threads_object(folder)]
    run(["gcc", *flags, *sources, "-o", folder / "kernel", "-lm"])
    return regions(run([folder / "kernel"]))


@pytest.mark.parametrize("barrier", ["", "GOMP_barrier();"])
def test_a_race_is_found(barrier: str, tmp_path: Path) -> None:
    (tmp_path / "race.c").write_text(RACE.replace("BARRIER", barrier))
    sources = [tmp_path / "race.c", threads_object(tmp_path)]
    run(["gcc", "-g", "-O1", "-fopenmp", RACES, *sources, "-o", tmp_path / "race"])
    with pytest.raises(UncleanError, match="data race"):
        run([tmp_path / "race"])


@pytest.mark.slow
def test_layers_have_no_race(tmp_path: Path) -> None:
    layers = nn.Sequential(nn.Linear(256, 512), nn.GELU(), nn.LayerNorm(512), nn.Linear(512, 64))
    assert check_model(layers.eval(), (torch.randn(128, 256),), tmp_path) >= 2


@pytest.mark.slow
def test_a_recurrent_layer_has_no_race(tmp_path: Path) -> None:
    layer = nn.LSTM(64, 128, batch_first=True).eval()
    assert check_model(layer, (torch.randn(4, 9, 64),), tmp_path) >= 1


@pytest.mark.slow
def test_weights_of_few_bits_have_no_race(tmp_path: Path) -> None:
    layers = nn.Sequential(nn.Linear(512, 1024), nn.ReLU(), nn.Linear(1024, 512)).eval()
    assert check_model(layers, (torch.randn(8, 512),), tmp_path, weights="u4:g128") >= 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bert", "gpt2", "vit", "llama", "whisper_encoder"])
def test_models_have_no_race(name: str, tmp_path: Path) -> None:
    check_model(*zoo_model(name), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BENCHMARKS))
def test_kernels_have_no_race(name: str, tmp_path: Path) -> None:
    check_kernel(name, tmp_path)
