"""Caches in formats of weights: against the quantizer of weights, and compiled against eager."""

from __future__ import annotations

import numpy as np
import pytest
import tilecast
import torch
from tilecast.compiler.quantize.quantizers import quantize_matrix
from tilecast.dialects.errors import OptionError
from tilecast.dialects.quant.element_table import element_named
from torch import Tensor, nn
from torch.nn import functional

WIDTHS = [f"u{n}:g32" for n in range(1, 9)] + [f"i{n}:g16" for n in range(1, 9)]
OTHERS = ["bipolar2:g32", "ternary", "u4:g32:zf16", "i4:g64:sf32", "e2m1:g32", "nf4:g64:sbf16"]
OTHERS += ["e3m2:mx", "bfp4:g16", "e4m3"]


@pytest.mark.parametrize("format", WIDTHS + OTHERS)
def test_a_cache_has_the_values_of_the_quantizer(format: str) -> None:
    x = torch.randn(2, 3, 5, 64)
    cache = tilecast.QuantizedCache(format, (2, 3, 7, 64))
    found = cache.update(torch.tensor([6, 0, 2, 3, 4]), x)[:, :, [6, 0, 2, 3, 4]]
    want = quantize_matrix(x.reshape(-1, 64).numpy(), format).dequantize().reshape(x.shape)
    near = np.isclose(found.numpy(), want, rtol=1e-5, atol=1e-6)
    # f32 here, float64 there: what lies between two values, or two scales, may go either way
    assert near.mean() > 0.98
    width = element_named(format.partition(":")[0]).width
    assert cache.codes.shape[-1] == 8 * width


@pytest.mark.parametrize(
    ("format", "message"),
    [
        ("kmeans3:g32", "needs the tensor"),
        ("u4:tensor", "scale of its own"),
        ("u4:g32", "multiple of 8 elements"),
    ],
)
def test_formats_that_no_cache_has(format: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        tilecast.QuantizedCache(format, (1, 1, 4, 40))


class Step(nn.Module):
    """One step of decoding behind caches of keys and values."""

    def __init__(self, format: str) -> None:
        super().__init__()
        self.keys = tilecast.QuantizedCache(format, (1, 2, 24, 64))
        self.values = tilecast.QuantizedCache(format, (1, 2, 24, 64))

    def forward(self, q: Tensor, k: Tensor, v: Tensor, position: Tensor) -> Tensor:
        k, v = self.keys.update(position, k), self.values.update(position, v)
        seen = torch.arange(24)[None] <= position[:, None]
        return functional.scaled_dot_product_attention(q, k, v, attn_mask=seen)


def follows_eager(format: str) -> tilecast.CompiledModel:
    q, k, v = torch.randn(3, 4, 1, 2, 1, 64).unbind()
    eager = Step(format)
    example = q[0], k[0], v[0], torch.tensor([0])
    compiled = tilecast.compile(Step(format), example, threads=1, cache=False)
    for n in range(4):
        given = q[n], k[n], v[n], torch.tensor([n])
        torch.testing.assert_close(compiled(*given), eager(*given), rtol=1e-4, atol=1e-5)
    assert torch.equal(compiled.states["keys.codes"], eager.keys.codes)
    return compiled


def test_one_query_reads_the_codes_inside_of_attention() -> None:
    compiled = follows_eager("u4:g32")
    kernel = next(k for k in compiled.artifact.kernels if "attention" in k.name)
    assert [a for a in kernel.arguments if "24x32xui8" in a]
    assert not [a for a in kernel.arguments if "24x64xf32" in a]
    changed = {compiled.artifact.signature.inputs[k].name for k, _ in compiled.artifact.in_place}
    assert len(changed) == 6  # codes, scales and zero points are written where they are


@pytest.mark.slow
@pytest.mark.parametrize("format", ["i3:g16", "u5:g64", "ternary", "e2m1:mx", "nf4:g64", "i8"])
def test_other_formats_compiled(format: str) -> None:
    follows_eager(format)
