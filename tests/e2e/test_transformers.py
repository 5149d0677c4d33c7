"""Small random models of many transformers architectures equal eager PyTorch."""

from __future__ import annotations

from pathlib import Path

import pytest
import tilecast
import torch
from tilecast.benchmarks.zoo import GROUPED, TOWERS, build, zoo_model

# Models without attention, or (DeBERTa) with one of their own, have one form.
ONE_FORM = {"deberta_v2", "convnext", "resnet", "mobilenet_v2", "efficientnet", "mamba"}
FORMS = [
    (name, attention)
    for attention in ("sdpa", "eager")
    for name in TOWERS
    if attention == "sdpa" or name not in ONE_FORM
]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(("name", "attention"), FORMS)
def test_architectures_equal_eager(
    name: str, attention: str, dtype: str, cache_folder: Path
) -> None:
    """Verification compares each kernel and the model with float64; this compares a call."""
    model, inputs = zoo_model(name, attention)
    kind = getattr(torch, dtype)
    model = model.to(kind)
    inputs = tuple(x.to(kind) if x.is_floating_point() else x for x in inputs)
    compiled = tilecast.compile(model, inputs)
    with torch.no_grad():
        wanted = model(*inputs)
    # eager itself is this far from float64 in bf16: single roundings of 2^-8 add up over layers
    relative, absolute = (2e-4, 2e-5) if dtype == "float32" else (0.1, 0.1)
    torch.testing.assert_close(compiled(*inputs), wanted, rtol=relative, atol=absolute)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["LlamaForCausalLM", "Qwen3ForCausalLM", "MistralForCausalLM"])
def test_decoding_with_a_static_cache_equals_generation(name: str, cache_folder: Path) -> None:
    """The cache lives in buffers that each step changes; 32 tokens, greedily, one at a time."""
    from transformers import GenerationConfig
    from transformers.integrations.executorch import TorchExportableModuleWithStaticCache

    length, prompt = 48, [5, 9, 11]
    model = build(name, {**GROUPED, "use_sliding_window": False}, "sdpa")
    model.generation_config = GenerationConfig(
        use_cache=True,
        cache_implementation="static",
        max_length=length,
        cache_config={"batch_size": 1, "max_cache_len": length},
    )
    with torch.no_grad():
        example = {"input_ids": torch.tensor([[5]]), "cache_position": torch.tensor([0])}
        step = TorchExportableModuleWithStaticCache(model)
        compiled = tilecast.compile(torch.export.export(step, (), example), (), example)
        tokens = list(prompt)
        for position in range(len(prompt) + 31):
            logits = compiled(
                input_ids=torch.tensor([[tokens[position]]]),
                cache_position=torch.tensor([position]),
            )
            if position + 1 == len(tokens):
                tokens.append(int(logits[0, -1].argmax()))
        settings = GenerationConfig(max_new_tokens=32, do_sample=False, use_cache=True)
        expected = model.generate(torch.tensor([prompt]), generation_config=settings)
    assert tokens == expected[0].tolist()
