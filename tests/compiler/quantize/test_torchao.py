"""Models that torchao quantized: their integers are ours, their results eager's."""

from __future__ import annotations

from typing import Any

import pytest
import tilecast
import torch
from tilecast.compiler.quantize.model import quantized_weights, with_quantized_weights
from torch import nn

torchao = pytest.importorskip("torchao.quantization")

GROUP = 32
FORMATS = {
    "bytes": "i8:channel:sf32:znone",
    "bytes times bytes": "i8:channel:sf32:znone",
    "4 bits": f"i4:g{GROUP}:sf32:znone",
    "4 bits, zero points": f"u4:g{GROUP}:sf32:zint",
    "3 bits": "i3:channel:sf32:znone",
    "bytes times 4 bits": f"i4:g{GROUP}:sf32:znone",
}


def config(name: str) -> Any:
    groups = torchao.PerGroup(GROUP)
    if name == "bytes":
        return torchao.Int8WeightOnlyConfig()
    if name == "bytes times bytes":
        return torchao.Int8DynamicActivationInt8WeightConfig()
    if name == "4 bits":
        return torchao.IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=groups)
    if name == "4 bits, zero points":
        return torchao.IntxWeightOnlyConfig(
            weight_dtype=torch.int4,
            granularity=groups,
            mapping_type=torchao.MappingType.ASYMMETRIC,
        )
    if name == "3 bits":
        return torchao.IntxWeightOnlyConfig(weight_dtype=torch.int3, granularity=torchao.PerAxis(0))
    return torchao.Int8DynamicActivationIntxWeightConfig(
        weight_dtype=torch.int4, weight_granularity=groups
    )


def quantized(name: str) -> nn.Module:
    model = nn.Sequential(nn.Linear(64, 96), nn.GELU(), nn.Linear(96, 33, bias=False)).eval()
    torchao.quantize_(model, config(name))
    return model


@pytest.mark.parametrize("name", FORMATS)
def test_integers_are_kept_bit_for_bit(name: str) -> None:
    model, x = quantized(name), torch.randn(5, 64)
    program = torch.export.export(model, (x,))
    found = with_quantized_weights(program, program, None)
    tensors = quantized_weights(found)
    assert [str(tensor.format) for tensor in tensors.values()] == [FORMATS[name]] * 2
    for layer, tensor in zip((model[0], model[2]), tensors.values(), strict=True):
        low = -(1 << (tensor.format.element.width - 1))
        assert torch.equal(torch.from_numpy(tensor.codes).int() + low, layer.weight.qdata.int())
    torch.testing.assert_close(found.module()(x), model(x), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bytes", "bytes times bytes", "4 bits", "bytes times 4 bits"])
def test_compiled_models_compute_the_same(name: str) -> None:
    model, x = quantized(name), torch.randn(5, 64)
    fast = tilecast.compile(model, (x,), threads=1, cache=False)
    torch.testing.assert_close(fast(x), model(x), rtol=1e-4, atol=1e-5)
