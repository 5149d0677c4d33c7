"""The float64 reference of exported programs, and fresh inputs."""

from __future__ import annotations

import torch
from tilecast.compiler.verify.definite import DefiniteInterpreter
from tilecast.compiler.verify.eager import DoubleInterpreter, run_program
from tilecast.compiler.verify.model import fresh_leaves
from torch import nn


class Casts(nn.Module):
    """Names float32 in its code, holds a buffer, returns an integer and a float."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(16, 8)
        self.register_buffer("scale", torch.tensor(1.0 / 3.0))

    def forward(self, x, index):
        y = (self.linear(x).float() * self.scale).softmax(-1)
        y = y + torch.ones(8, dtype=torch.float32) / 7
        return y[index], y.argmax(-1)


def test_reference_is_double_throughout():
    model = Casts().eval()
    x, index = torch.randn(4, 16), torch.tensor([2, 0])
    program = torch.export.export(model, (x, index))
    wide, position = run_program(program, [x, index], DoubleInterpreter)
    native, _ = run_program(program, [x, index], DefiniteInterpreter)
    assert (wide.dtype, position.dtype, native.dtype) == (
        torch.float64,
        torch.int64,
        torch.float32,
    )
    with torch.no_grad():
        weight, bias = model.linear.weight.double(), model.linear.bias.double()
        y = ((x.double() @ weight.T + bias) * model.scale.double()).softmax(-1)
        expected = (y + torch.ones(8, dtype=torch.float64) / 7)[index]
    assert (wide - expected).abs().max() < 1e-15
    assert torch.equal(native, model(x, index)[0])
    assert 0 < (native - wide).abs().max() < 1e-6


def test_reference_leaves_the_model_alone():
    model = Casts().eval()
    x, index = torch.randn(4, 16), torch.tensor([1])
    program = torch.export.export(model, (x, index))
    run_program(program, [x, index], DoubleInterpreter)
    assert all(value.dtype == torch.float32 for value in program.state_dict.values())


def test_fresh_inputs_are_random_floats_and_the_same_integers():
    x, index = torch.zeros(100, dtype=torch.float64), torch.tensor([3, 4])
    fresh = fresh_leaves([x, index, 5], seed=0)
    assert fresh[0].dtype == torch.float64
    assert (fresh[0] != 0).all()
    assert fresh[1] is index
    assert fresh[2] == 5
    assert torch.equal(fresh[0], fresh_leaves([x, index, 5], seed=0)[0])
    assert not torch.equal(fresh[0], fresh_leaves([x, index, 5], seed=1)[0])
