"""Declared kernels have the arguments of lowered ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import tilecast
import torch
from tilecast.passes.context import CompileContext
from tilecast.passes.poly.emission.declare_kernels import DeclareKernelsPass
from tilecast.passes.poly.emission.lower_scop import LowerScopPass
from torch import Tensor, nn
from xdsl.dialects.func import FuncOp


def padded_convolution(x: Tensor) -> Tensor:
    return nn.functional.conv2d(x.reshape(1, 4, 40, 40), torch.ones(8, 4, 3, 3), None, 2, 1)


def softmax(x: Tensor) -> Tensor:
    return x.reshape(80, 80).softmax(0) @ torch.ones(80, 9)


@pytest.mark.parametrize(
    ("function", "has_scratch"), [(padded_convolution, True), (softmax, False)]
)
def test_arguments_are_those_of_the_loops(
    function: Callable[[Tensor], Tensor], has_scratch: bool
) -> None:
    class Net(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return function(x)

    scheduled = tilecast.compile(Net(), (torch.ones(6400),), target="c99", stop_after="schedule")
    declared = scheduled.clone()
    LowerScopPass().apply(CompileContext(), scheduled)
    DeclareKernelsPass().apply(CompileContext(), declared)
    pairs = [
        (one, other)
        for one, other in zip(scheduled.ops, declared.ops, strict=True)
        if isinstance(one, FuncOp) and one.sym_name.data != "main"
    ]
    assert pairs
    for loops, declaration in pairs:
        assert declaration.function_type == loops.function_type
        assert declaration.attributes == loops.attributes
        assert declaration.properties == loops.properties
        assert len(list(declaration.body.block.ops)) == 1
    roles = [str(loops.attributes["tilecast.roles"]) for loops, _ in pairs]
    assert any("scratch" in text for text in roles) == has_scratch
