"""Recurrent layers against torch: one op per layer and direction, whatever their form."""

from __future__ import annotations

from typing import Any

import pytest
import tilecast
import torch
from torch import nn


def agrees(module: nn.Module, inputs: tuple[object, ...], target: str = "native") -> None:
    module.eval()
    compiled = tilecast.compile(module, inputs, target=target, threads=2)  # verifies itself
    expected = torch.utils._pytree.tree_leaves(module(*inputs))
    found = torch.utils._pytree.tree_leaves(compiled(*inputs))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("target", ["c99", "native"])
@pytest.mark.parametrize(
    ("hidden", "layers", "bidirectional", "batch_first"),
    [(16, 1, False, True), (12, 2, True, False), (9, 2, True, True)],
)
def test_layers_directions_and_orders(
    hidden: int, layers: int, bidirectional: bool, batch_first: bool, target: str
) -> None:
    torch.manual_seed(0)
    lstm = nn.LSTM(7, hidden, layers, bidirectional=bidirectional, batch_first=batch_first)
    agrees(lstm, (torch.randn(2, 5, 7),), target)


@pytest.mark.parametrize("target", ["c99", "native"])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (nn.GRU, {"num_layers": 2, "bidirectional": True}),
        (nn.GRU, {"batch_first": True}),
        (nn.GRU, {"bias": False}),
        (nn.RNN, {"bidirectional": True}),
        (nn.RNN, {"nonlinearity": "relu", "bias": False}),
    ],
)
@pytest.mark.parametrize("hidden", [16, 9])
def test_other_cells(
    kind: type[nn.RNNBase], options: dict[str, Any], hidden: int, target: str
) -> None:
    torch.manual_seed(0)
    layers = kind(7, hidden, **options)
    shape = (layers.num_layers * (1 + layers.bidirectional), 3, hidden)
    x = torch.randn(3, 5, 7) if layers.batch_first else torch.randn(5, 3, 7)
    agrees(layers, (x, torch.randn(shape)), target)


def test_a_gru_keeps_its_state_where_the_gate_is_closed() -> None:
    torch.manual_seed(0)
    gru = nn.GRU(4, 8).double().eval()
    with torch.no_grad():
        gru.bias_ih_l0[8:16] = 40.0  # sigmoid is 1 to the last bit
    x, state = torch.randn(6, 2, 4).double(), torch.randn(1, 2, 8).double()
    last = tilecast.compile(gru, (x, state))(x, state)[1]
    torch.testing.assert_close(last, state, rtol=1e-14, atol=1e-14)


def test_initial_states_and_no_biases() -> None:
    torch.manual_seed(0)
    states = (torch.randn(1, 3, 32), torch.randn(1, 3, 32))
    agrees(nn.LSTM(8, 32, bias=False), (torch.randn(1, 3, 8), states))


def test_weights_that_are_computed() -> None:
    class Scaled(nn.Module):
        def forward(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
            state = torch.zeros(1, 2, 16)
            parameters = [weight[:, :4], weight[:, 4:] * 0.5]
            return torch.lstm(x, (state, state), parameters, False, 1, 0.0, False, False, False)[0]

    torch.manual_seed(0)
    agrees(Scaled(), (torch.randn(6, 2, 4), torch.randn(64, 20) * 0.2))


@pytest.mark.parametrize(
    "dtype", [pytest.param(torch.float16, marks=pytest.mark.slow), torch.bfloat16], ids=str
)
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_layers_of_16_bits(kind: type[nn.RNNBase], dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layer, x = kind(7, 12).eval().to(dtype), torch.randn(5, 2, 7, dtype=dtype)
    found = tilecast.compile(layer, (x,), target="c99")(x)[0]  # verifies itself
    # torch rounds after every step, tilecast once: a few units in the last place of 1
    torch.testing.assert_close(found, layer(x)[0], rtol=0, atol=4 * torch.finfo(dtype).eps)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_one_op_per_layer(kind: type[nn.RNNBase]) -> None:
    torch.manual_seed(0)
    module = kind(8, 16, num_layers=2).eval()
    ir = tilecast.compile(module, (torch.randn(9, 1, 8),), stop_after="import")
    assert str(ir).count("graph.recurrent") == 2
