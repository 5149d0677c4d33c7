"""What is measured on a GPU: products with weights of few bits, and modules of torch.

The shapes and types of the products are those of Tilus (arXiv 2504.12984, section 9.1): linear
layers of Llama-3.3-70B. Suite "check" is small, and has stored results to compare with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from itertools import product
from typing import Any

import torch

from ..kernels.attention import attention_cases
from ..kernels.case import Call, Case, Inputs, random_tensors
from ..kernels.memory_bound import memory_cases
from ..models import load_model

Built = tuple[torch.nn.Module, Inputs]


@dataclass(frozen=True)
class Product:
    """x [M, K] of f16, or rounded to int8 or fp8 first, times a weight [N, K] of `format`."""

    m: int
    n: int
    k: int
    format: str
    suite: str = "lowbit"
    activations: str = "f32"

    @property
    def name(self) -> str:
        """The format, rows, and N x K."""
        rounded = "" if self.activations == "f32" else f" {self.activations}"
        return f"{self.format}{rounded} {self.m}x{self.n}x{self.k}"


@dataclass(frozen=True)
class Module:
    """A module of torch, compiled as a whole."""

    suite: str
    name: str
    make: Callable[[], Built]
    flops: float
    bytes: float
    tolerance: float = 2e-2


LAYERS = ((8192, 8192), (57344, 8192), (8192, 28672))  # N, K
TYPES = ("u8:g128", "e3m2", "u4:g128", "i4:g128", "u2:g128", "u1:g128")
SWEEP = tuple(f"{kind}{bits}" for kind in "ui" for bits in range(1, 9))
FLOATS = ("e4m3", "e3m3", "e3m2", "e2m2", "e2m1", "e1m1")
SMALL = (*TYPES, "u3:g32", "i5:g64", "u4:g32:zf16", "nf4:g64", "kmeans3", "bfp4:g8", "ternary")
INTEGERS = ("i8", "u4:g128", "u2:g128:zf16")
FP8 = ("e4m3", "u4:g128", "e2m1:g32")  # for targets that have the instruction
SMALL_SIZES = {"small": (256, 64)}
EXAMPLES = ("mlp", "bert", "gpt2", "vit", "lstm")
MODELS = ("minilm", "resnet18", "bert-base", "gpt2-small", "vit-b16", "mobilenet-v2", "lstm")


def products() -> list[Product]:
    """Tilus's table, its sweep of types, rows up to 4096, 8 bits, and small ones to be checked."""
    found = [Product(m, n, k, f) for f, m, (n, k) in product(TYPES, (1, 16), LAYERS)]
    found += [Product(16, 57344, 8192, f, "types") for f in (*SWEEP, *FLOATS)]
    rows = (4, 8, 2048, 4096)
    found += [Product(m, 57344, 8192, f, "rows") for m, f in product(rows, ("u4:g128", "e3m2"))]
    for m, f in product((1, 16, *rows[2:]), INTEGERS):
        found.append(Product(m, 57344, 8192, f, "int8", "int8"))
    for m, f in product((1, 16, *rows[2:]), FP8):
        found.append(Product(m, 57344, 8192, f, "fp8", "fp8"))
    found += [Product(m, 72, 256, f, "check") for f, m in product(SMALL, (1, 17))]
    found += [Product(m, 72, 256, f, "check", "int8") for f, m in product(INTEGERS, (1, 17))]
    found += [Product(m, 72, 256, f, "check", "fp8") for f, m in product(FP8, (1, 17))]
    return found


def modules() -> list[Module]:
    """Suites gemm, memory, attention and models; small ones of each in "check"."""
    found = [_matmul("gemm", 4096, torch.float16), _matmul("gemm", 4096, torch.float32)]
    for case in memory_cases():
        if "in memory" in case.name:
            found += [_case("memory", case, dtype) for dtype in (torch.float32, torch.float16)]
    found += [_case("attention", case, torch.float16) for case in attention_cases()]
    found += [Module("models", name, partial(load_model, name), 0.0, 0.0) for name in MODELS]
    shape = (1, 2, 64, 16)
    attend = torch.nn.functional.scaled_dot_product_attention
    small = [
        *(case for case in memory_cases(SMALL_SIZES) if not case.name.startswith("embedding")),
        Case("softmax", lambda: (Call(_softmax), random_tensors((9, 65))), 0, 0),
        Case("attention", lambda: (Call(attend), random_tensors(shape, shape, shape)), 0, 0),
    ]
    found += [_case("check", case, torch.float16) for case in small]
    found += [Module("check", name, partial(_example, name), 0.0, 0.0) for name in EXAMPLES]
    return [*found, _matmul("check", 48, torch.float16), _matmul("check", 48, torch.float32)]


def _example(name: str) -> Built:
    """A whole model that is small."""
    torch.manual_seed(0)
    module, inputs = import_module(f"tilecast.examples.{name}").model()
    return module.eval(), tuple(inputs)


def _softmax(x: torch.Tensor) -> torch.Tensor:
    return torch.softmax(x, -1)


def _product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return a @ b.t()


def _matmul(suite: str, size: int, dtype: torch.dtype) -> Module:
    def make() -> Built:
        inputs = random_tensors((size, size), (size, size))
        return Call(_product), tuple(x.to(dtype) for x in inputs)

    name = f"matmul {size} {short(dtype)}"
    return Module(suite, name, make, 2.0 * size**3, 3.0 * size * size * dtype.itemsize)


def _case(suite: str, case: Case, dtype: torch.dtype) -> Module:
    """A case of the CPU suites in another type; its bytes are those of f32."""

    def make() -> Built:
        module, inputs = case.make()
        cast: Any = tuple(x.to(dtype) if x.is_floating_point() else x for x in inputs)
        return module.to(dtype), cast

    name = f"{case.name} {short(dtype)}"
    return Module(suite, name, make, case.flops, case.bytes * dtype.itemsize / 4)


def short(dtype: torch.dtype) -> str:
    """f16 for torch.float16."""
    return str(dtype).removeprefix("torch.").replace("bfloat", "bf").replace("float", "f")
