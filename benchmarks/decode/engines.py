"""The engines by name: our variants, eager PyTorch, llama.cpp. Each decodes and prefills."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tilecast
import torch

from .gguf_file import write_gguf
from .llama_cpp import LlamaCpp
from .model import Shape, random_llama

MIXED = "lm_head=u4:g128,*self_attn*=u4:g128,*down_proj=i3:g128,*=u2:g128"
BF16, INT8 = torch.bfloat16, {"activations": "int8"}
PROMPT = 128
Call = Callable[[], Any]


@dataclass(frozen=True)
class Variant:
    """How we compile, and the type of the cache."""

    options: dict[str, Any]
    cache: torch.dtype = BF16


VARIANTS = {
    "f32": Variant({}, torch.float32),
    "bf16": Variant({"precision": "bf16"}),
    "u4": Variant({"weights": "u4:g128"}),
    "u4 int8": Variant({"weights": "u4:g128", **INT8}),
    "u4:g32 int8": Variant({"weights": "u4:g32", **INT8}),
    "i3 int8": Variant({"weights": "i3:g128", **INT8}),
    "mixed": Variant({"weights": MIXED}),
    "mixed int8": Variant({"weights": MIXED, **INT8}),
}
LLAMA_CPP = {f"llama.cpp {kind}": kind for kind in ("Q4_0", "Q4_K")}
ENGINES = ("eager", *VARIANTS, *LLAMA_CPP)


def calls_of(name: str, shape: Shape, threads: int, folder: Path) -> dict[str, Call]:
    """ "decode": one token behind a full cache; "prefill": a prompt of `PROMPT` tokens."""
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(0, shape.vocabulary, (1, shape.positions), generator=generator)
    if name in LLAMA_CPP:
        return llama_cpp_calls(LLAMA_CPP[name], shape, threads, folder, tokens)
    variant = VARIANTS.get(name, Variant({}, torch.float32))
    model = random_llama(shape, variant.cache)
    last = shape.positions - 1
    inputs = {
        "decode": (tokens[:, last:], torch.tensor([last])),
        "prefill": (tokens[:, :PROMPT], torch.arange(PROMPT)),
    }
    if name == "eager":
        return {kind: lambda x=x: model(*x) for kind, x in inputs.items()}
    return {
        kind: compiled_call(model, x, f"llama_{kind}", threads, variant)
        for kind, x in inputs.items()
    }


def compiled_call(
    model: torch.nn.Module, inputs: Any, name: str, threads: int, variant: Variant
) -> Call:
    """The compiled program on its inputs."""
    program = tilecast.compile(model, inputs, threads=threads, name=name, **variant.options)
    return lambda: program(*inputs)


def llama_cpp_calls(
    kind: str, shape: Shape, threads: int, folder: Path, tokens: torch.Tensor
) -> dict[str, Call]:
    """The same with a GGUF file, which is written where it is not there."""
    sizes = f"{shape.layers}x{shape.width}x{shape.hidden}x{shape.vocabulary}"
    path = folder / f"llama_{sizes}_{kind}.gguf"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_gguf(random_llama(shape), kind, path)
    engine = LlamaCpp(path, shape.positions, shape.vocabulary, threads)
    numbers: list[int] = tokens[0].tolist()
    last = shape.positions - 1
    filled = []

    def decode() -> Any:
        if not filled:
            engine.run(numbers[:last], 0)
            filled.append(True)
        return engine.run(numbers[last:], last)

    def prefill() -> Any:
        filled.clear()
        return engine.run(numbers[:PROMPT], 0)

    return {"decode": decode, "prefill": prefill}
