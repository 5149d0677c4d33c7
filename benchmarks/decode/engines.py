"""The engines by name: our variants, eager PyTorch, llama.cpp. Each decodes and prefills.

Ours are packages that a process of its own wrote: what runs holds packed weights and nothing else,
so engines of a billion weights fit side by side.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Sequence
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


def tokens_of(shape: Shape) -> torch.Tensor:
    """Random tokens [1, positions]."""
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, shape.vocabulary, (1, shape.positions), generator=generator)


def inputs_of(shape: Shape) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """ "decode": one token behind a full cache; "prefill": a prompt of `PROMPT` tokens."""
    tokens, last = tokens_of(shape), shape.positions - 1
    return {
        "decode": (tokens[:, last:], torch.tensor([last])),
        "prefill": (tokens[:, :PROMPT], torch.arange(PROMPT)),
    }


def place_of(name: str, shape: Shape, folder: Path, kind: str = "") -> Path:
    """The GGUF file of an engine of llama.cpp, the package of one of ours."""
    sizes = f"{shape.layers}x{shape.width}x{shape.hidden}x{shape.vocabulary}"
    if name in LLAMA_CPP:
        return folder / f"llama_{sizes}_{LLAMA_CPP[name]}.gguf"
    return folder / f"llama_{sizes}_{re.sub('[^a-z0-9]', '_', name)}_{kind}"


def build(name: str, shape: Shape, threads: int, folder: Path, kinds: Sequence[str]) -> None:
    """Write what an engine runs, and check what is ours against PyTorch in float64."""
    folder.mkdir(parents=True, exist_ok=True)
    if name in LLAMA_CPP:
        write_gguf(random_llama(shape), LLAMA_CPP[name], place_of(name, shape, folder))
    if name not in VARIANTS:
        return
    variant = VARIANTS[name]
    model = random_llama(shape, variant.cache)
    options: dict[str, Any] = {"threads": threads, **variant.options}
    if spec := options.pop("weights", None):
        tilecast.quantize(model, spec, in_place=True)
    for kind in kinds:
        place = place_of(name, shape, folder, kind)
        shutil.rmtree(place, ignore_errors=True)
        tilecast.emit(model, inputs_of(shape)[kind], place, name=f"llama_{kind}", **options)
        print(f"{name}, {kind}: {tilecast.load(place, threads).verify()}", file=sys.stderr)


def calls_of(
    name: str, shape: Shape, threads: int, folder: Path, kinds: Sequence[str]
) -> dict[str, Call]:
    """What was built, as calls."""
    inputs = {kind: inputs_of(shape)[kind] for kind in kinds}
    if name in LLAMA_CPP:
        return llama_cpp_calls(place_of(name, shape, folder), shape, threads)
    if name == "eager":
        model = random_llama(shape)
        return {kind: lambda x=x: model(*x) for kind, x in inputs.items()}
    programs = {kind: tilecast.load(place_of(name, shape, folder, kind), threads) for kind in kinds}
    return {kind: lambda p=programs[kind], x=x: p(*x) for kind, x in inputs.items()}


def llama_cpp_calls(path: Path, shape: Shape, threads: int) -> dict[str, Call]:
    """The same with a GGUF file."""
    engine = LlamaCpp(path, shape.positions, shape.vocabulary, threads)
    tokens = tokens_of(shape)
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
