"""The models that are measured: name -> callable of an example that returns (module, inputs)."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch

MODELS = {
    "mlp": "examples.mlp:model",
    "resnet18": "examples.resnet18:model",
    "bert": "examples.bert:model",
    "gpt2": "examples.gpt2:model",
    "vit": "examples.vit:model",
    "lstm": "examples.lstm:model",
    "minilm": "examples.minilm:model",
    "minilm-b8": "examples.minilm:batch_of_eight",
}


def load_model(name: str) -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    """The module in evaluation mode, and its example inputs."""
    module_name, _, attribute = MODELS[name].partition(":")
    module, inputs = getattr(import_module(module_name), attribute)()
    return module.eval(), tuple(inputs)


def input_variants(inputs: tuple[torch.Tensor, ...], count: int) -> list[tuple[Any, ...]]:
    """`count` different inputs of the same kind: new random floats, rolled integers."""
    generator = torch.Generator().manual_seed(0)
    variants = []
    for shift in range(count):
        variants.append(
            tuple(
                torch.randn(x.shape, generator=generator, dtype=x.dtype)
                if x.is_floating_point()
                else torch.roll(x, shift, dims=-1)
                for x in inputs
            )
        )
    return variants
