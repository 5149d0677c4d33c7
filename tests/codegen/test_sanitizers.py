"""Emitted C under AddressSanitizer and UndefinedBehaviorSanitizer: packages, and loop kernels."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
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
from torch import Tensor, nn
from xdsl.dialects.func import FuncOp

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.abuse.sanitizers import SANITIZE, check_addresses, run
from benchmarks.polybench import load_all

C_TYPES = {"f32": "float", "f64": "double", "i32": "int32_t", "i64": "int64_t", "i8": "int8_t"}
BENCHMARKS = load_all()
SOME_KERNELS = ("gemm", "jacobi-1d", "nussinov")

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")


class Mixed(nn.Module):
    """Odd shapes through products, windows, a softmax, a sort and an indexed read."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3, padding=1)
        self.linear = nn.Linear(35, 19)
        self.table = nn.Embedding(7, 19)

    def forward(self, x: Tensor, i: Tensor) -> tuple[Tensor, Tensor]:
        y = nn.functional.max_pool2d(self.conv(x).relu(), 2, 1)
        y = self.linear(y.flatten(1)[:, :35]) + self.table(i)
        return y.softmax(-1), torch.sort(y, dim=-1).indices


def mixed() -> tuple[nn.Module, tuple[Tensor, ...]]:
    torch.manual_seed(0)
    return Mixed().eval(), (torch.randn(3, 3, 5, 6), torch.tensor([6, 0, 3]))


def lstm() -> tuple[nn.Module, tuple[Tensor, ...]]:
    torch.manual_seed(0)
    return nn.LSTM(5, 11, batch_first=True).eval(), (torch.randn(2, 4, 5),)


def zoo(name: str) -> Callable[[], Any]:
    def build() -> Any:
        from benchmarks.zoo import zoo_model

        return zoo_model(name)

    return build


def check_package(built: tuple[nn.Module, Any], target: str, folder: Path, **options: Any) -> None:
    """Write the package of a model and run its check under the sanitizers."""
    model, inputs = built
    package = tilecast.emit(model, inputs, folder / "out", target=target, **options)
    check_addresses(package)


@pytest.mark.parametrize("target", ["c99", "native"])
def test_a_small_model_is_clean(target: str, tmp_path: Path) -> None:
    check_package(mixed(), target, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["c99", "native"])
@pytest.mark.parametrize(
    "build",
    [lstm, zoo("bert"), zoo("gpt2"), zoo("vit"), zoo("llama"), zoo("whisper_encoder")],
    ids=["lstm", "bert", "gpt2", "vit", "llama", "whisper"],
)
def test_models_are_clean(build: Any, target: str, tmp_path: Path) -> None:
    check_package(build(), target, tmp_path, threads=2)


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["u4:g32", "nf4:g32", "i3:g32"])
def test_weights_of_few_bits_are_clean(weights: str, tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(64, 33), nn.ReLU(), nn.Linear(33, 7)).eval()
    check_package((model, (torch.randn(3, 64),)), "native", tmp_path, weights=weights)


def kernel_program(func: FuncOp) -> str:
    """A main that calls `func` on arrays of exactly its sizes."""
    arguments: list[Any] = [argument.type for argument in func.body.block.args]
    lines = ["#include <stdint.h>", "#include <stdlib.h>", ""]
    types = [C_TYPES[str(type.element_type)] for type in arguments]
    name = func.sym_name.data
    lines.append(f"void {name}({', '.join(f'{t} *' for t in types)});")
    lines.append("int main(void) {")
    for k, (type, element) in enumerate(zip(arguments, types, strict=True)):
        count = prod(type.get_shape())
        lines.append(f"  {element} *a{k} = malloc({count} * sizeof *a{k});")
        lines.append(f"  for (int i = 0; i < {count}; i++) a{k}[i] = ({element})(1 + i % 3);")
    lines.append(f"  {name}({', '.join(f'a{k}' for k in range(len(types)))});")
    lines += [f"  free(a{k});" for k in range(len(types))]
    return "\n".join([*lines, "  return 0;", "}", ""])


def check_kernel(name: str, target: str, folder: Path) -> None:
    """A PolyBench kernel at MINI size under tilecast's schedule."""
    machine = resolve_target(target)
    program = load_program(BENCHMARKS[name].bind("MINI"), None)
    lowered = LoweredKernel.from_program(program, None, "kernel", machine, 2)
    lowered.lower(None, None)
    main, unit = folder / "main.c", folder / "kernel.c"
    main.write_text(kernel_program(lowered.func))
    unit.write_text(emit_unit([lowered.func], machine))
    prototypes = "-Wno-incompatible-pointer-types"
    flags = [*SANITIZE, "-g", "-O1", "-std=c11", "-fopenmp", "-ffp-contract=off", prototypes]
    flags += architecture_flags(machine, "gcc", "12.0.0")
    binary = folder / "kernel"
    run(["gcc", *flags, str(main), str(unit), "-o", str(binary), "-lm"])
    run(["env", "OMP_NUM_THREADS=2", "ASAN_OPTIONS=detect_leaks=0", binary])


@pytest.mark.parametrize("name", SOME_KERNELS)
def test_some_kernels_are_clean(name: str, tmp_path: Path) -> None:
    check_kernel(name, "native", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["c99", "native"])
@pytest.mark.parametrize("name", sorted(BENCHMARKS))
def test_kernels_are_clean(name: str, target: str, tmp_path: Path) -> None:
    check_kernel(name, target, tmp_path)
