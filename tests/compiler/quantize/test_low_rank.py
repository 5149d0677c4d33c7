"""A product of low rank gives back what rounding took."""

from __future__ import annotations

import numpy as np
import pytest
import tilecast
import torch
from tilecast.compiler.quantize import quantize, quantized_weights
from tilecast.compiler.quantize.low_rank import CorrectedLinear, factors
from tilecast.dialects.errors import OptionError
from torch import Tensor, nn

K = 48


def model() -> nn.Module:
    return nn.Sequential(nn.Linear(K, 40), nn.ReLU(), nn.Linear(40, 8)).eval()


def inputs(rows: int) -> Tensor:
    """Few directions are loud."""
    return torch.randn(rows, 4) @ torch.randn(4, K) + 0.1 * torch.randn(rows, K)


@pytest.mark.parametrize("rank", [2, 20])
def test_the_nearest_matrix_of_a_rank(rank: int) -> None:
    lost = np.random.default_rng(0).normal(size=(30, K))
    up, down = factors(lost, rank)
    values = np.linalg.svd(lost, compute_uv=False)
    error = np.linalg.norm(lost - up @ down)
    assert up.shape == (30, rank)
    assert error == pytest.approx(np.linalg.norm(values[rank:]), rel=1e-9)


def test_moments_choose_what_outputs_need() -> None:
    rng = np.random.default_rng(0)
    lost, x = rng.normal(size=(30, K)), inputs(500).double().numpy()

    def error(moments: np.ndarray | None) -> float:
        up, down = factors(lost, 4, moments)
        return float(np.linalg.norm((lost - up @ down) @ x.T))

    assert error(x.T @ x) < 0.5 * error(None)


def test_layers_are_corrected() -> None:
    source, x = model(), inputs(64)
    spec = {"0": "u2:g16", "*": "u4"}

    def error(rank: int | None, calibrated: bool) -> float:
        calibration = [(x,)] if calibrated else None
        found = quantize(source, spec, method="rtn", calibration=calibration, low_rank=rank)
        return (found(x) - source(x)).square().mean().item()

    assert error(4, True) < 0.3 * error(None, True)
    assert error(4, True) < error(4, False) < error(None, False)


def test_the_compiled_model_computes_both_products() -> None:
    source, x = model(), inputs(5)
    found = quantize(source, {"0": "u2:g16", "*": None}, low_rank=4)
    assert isinstance(found[0], CorrectedLinear)
    assert list(quantized_weights(found)) == ["0.main.weight"]
    fast = tilecast.compile(found, (x,))
    torch.testing.assert_close(fast(x), found(x), rtol=1e-4, atol=1e-5)


def test_a_layer_alone_and_what_is_refused() -> None:
    layer = nn.Linear(K, 8)
    assert list(quantized_weights(quantize(layer, "u4", low_rank=2))) == ["main.weight"]
    with pytest.raises(OptionError, match="positive rank"):
        quantize(layer, "u4", low_rank=0)
    program = torch.export.export(layer.eval(), (inputs(2),))
    with pytest.raises(OptionError, match=r"low_rank needs a torch\.nn\.Module"):
        quantize(program, "u4", low_rank=2)
