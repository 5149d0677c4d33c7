"""The models that are measured: name -> callable that returns (module, inputs)."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch

MODELS = {
    "minilm": "examples.minilm:model",
    "bert-base": "benchmarks.networks:bert_base",
    "gpt2-small": "benchmarks.networks:gpt2_small",
    "gpt2-decode": "benchmarks.networks:gpt2_decode",
    "vit-b16": "benchmarks.networks:vit_base",
    "resnet50": "benchmarks.networks:resnet50",
    "mobilenet-v2": "benchmarks.networks:mobilenet_v2",
    "efficientnet-b0": "benchmarks.networks:efficientnet_b0",
    "unet": "benchmarks.networks:unet",
    "whisper-tiny": "benchmarks.networks:whisper_tiny_encoder",
    "lstm": "benchmarks.networks:lstm",
    "minilm-b8": "examples.minilm:batch_of_eight",
    "mlp": "examples.mlp:model",
    "resnet18": "examples.resnet18:model",
    "bert-tiny": "examples.bert:model",
    "gpt2-tiny": "examples.gpt2:model",
    "vit-tiny": "examples.vit:model",
    "lstm-tiny": "examples.lstm:model",
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
