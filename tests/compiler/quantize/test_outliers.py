"""Columns that meet large activations stay in f32."""

from __future__ import annotations

import pytest
import torch
from tilecast.compiler.quantize import quantize, quantized_weights
from tilecast.compiler.quantize.outliers import SplitLinear
from tilecast.dialects.errors import OptionError
from torch import Tensor, nn

K = 64
LOUD = [5, 40]  # columns of activations 50 times as large


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(K, 24), nn.ReLU(), nn.Linear(24, 8)).eval()


def batches() -> list[tuple[Tensor]]:
    x = torch.randn(3, 7, K, generator=torch.Generator().manual_seed(1))
    x[..., LOUD] *= 50
    return [(part,) for part in x]


def test_the_loudest_columns_are_kept() -> None:
    found = quantize(model(), {"0": "i3:g32", "*": None}, calibration=batches(), outliers=0.03)
    assert isinstance(found[0], SplitLinear)
    assert found[0].columns.tolist() == LOUD
    assert list(quantized_weights(found)) == ["0.rest.weight"]
    assert isinstance(found[2], nn.Linear)
    torch.testing.assert_close(found[0].outliers.weight, model()[0].weight[:, LOUD])


def test_the_error_is_lower_than_without() -> None:
    source, (x,) = model(), batches()[0]

    def error(share: float | None) -> float:
        spec = {"0": "i3:g32", "*": None}
        found = quantize(source, spec, method="rtn", calibration=batches(), outliers=share)
        return (found(x) - source(x)).square().mean().item()

    assert error(0.03) < 0.1 * error(None)


def test_what_cannot_be_split_is_refused() -> None:
    with pytest.raises(OptionError, match="outliers needs calibration"):
        quantize(model(), "u4", outliers=0.01)
    with pytest.raises(OptionError, match="between 0 and 1"):
        quantize(model(), "u4", calibration=batches(), outliers=2.0)
