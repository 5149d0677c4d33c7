"""split-norm-groups: what follows a group norm shares its rows, and its kernel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tilecast.compiler.frontend.export import export_model
from tilecast.compiler.frontend.program import import_program
from tilecast.dialects.graph import PointwiseOp, shape_of
from tilecast.dialects.reference.graph import evaluate
from tilecast.passes.context import CompileContext
from tilecast.passes.graph.canonicalize import CanonicalizePass
from tilecast.passes.graph.fusion_rules import RuleGrouping
from tilecast.passes.graph.split_norm_groups import SplitNormGroupsPass, groups_of, operand_shape
from torch import Tensor, nn
from torch.nn.functional import silu
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp


class Block(nn.Module):
    """A group norm with scales of channels and of images, silu and a residual."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels)
        nn.init.normal_(self.norm.weight)
        nn.init.normal_(self.norm.bias)

    def forward(self, x: Tensor, scale: Tensor) -> Tensor:
        return silu(self.norm(x) * scale[:, :, None, None]) + x


def split(module: nn.Module, *inputs: Tensor) -> ModuleOp:
    """The graph after the pass, whose results are those before it."""
    model = import_program(export_model(module.eval(), inputs))
    context = CompileContext(weights=model.weights)
    CanonicalizePass().apply(context, model.module)
    arrays = [x.numpy() for x in inputs]
    (before,) = evaluate(model.module, model.weights, arrays)
    SplitNormGroupsPass().apply(context, model.module)
    model.module.verify()
    (after,) = evaluate(model.module, model.weights, arrays)
    np.testing.assert_allclose(after, before, rtol=1e-12, atol=1e-12)
    return model.module


def kernels(module: ModuleOp) -> int:
    (main,) = (op for op in module.ops if isinstance(op, FuncOp))
    return len(RuleGrouping().groups(main, 2))


def test_norm_scales_activation_and_residual_are_one_kernel() -> None:
    module = split(Block(64, 32), torch.randn(2, 64, 6, 5), torch.randn(2, 64))
    shapes = {shape_of(op.result) for op in module.walk() if isinstance(op, PointwiseOp)}
    assert (2, 32, 2, 30) in shapes
    assert (2, 64, 6, 5) not in shapes
    assert kernels(module) == 1


@pytest.mark.parametrize("shape", [(2, 12, 40), (1, 12, 3, 4, 5)])
def test_of_any_rank(shape: tuple[int, ...]) -> None:
    module = split(nn.Sequential(nn.GroupNorm(4, 12), nn.SiLU()), torch.randn(shape))
    assert kernels(module) == 1


def test_an_operand_that_differs_along_a_part_of_the_rest_stays() -> None:
    class Columns(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.GroupNorm(4, 8, affine=False)

        def forward(self, x: Tensor, w: Tensor) -> Tensor:
            return torch.sigmoid(self.norm(x)) * w

    module = split(Columns(), torch.randn(1, 8, 3, 4), torch.randn(4))
    (product,) = [op for op in module.walk() if isinstance(op, PointwiseOp) and op.fn.data == "mul"]
    assert shape_of(product.result) == (1, 8, 3, 4)


def test_norms_of_other_groups_meet() -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = nn.GroupNorm(4, 12), nn.GroupNorm(6, 12)

        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(self.one(x) + self.other(x))

    split(Sum(), torch.randn(2, 12, 3, 5))


def test_few_large_groups_stay() -> None:
    """The threads would have nothing to share."""
    module = nn.Sequential(nn.GroupNorm(2, 8), nn.SiLU())
    model = import_program(export_model(module.eval(), (torch.randn(1, 8, 128, 64),)))
    context = CompileContext(weights=model.weights)
    CanonicalizePass().apply(context, model.module)
    before = str(model.module)
    SplitNormGroupsPass().apply(context, model.module)
    assert str(model.module) == before


def test_shapes() -> None:
    assert groups_of((2, 6, 4, 5), (2, 3, 40)) == (2, 3, 2, 20)
    assert groups_of((2, 6, 4, 5), (2, 4, 30)) is None
    assert groups_of((2, 6, 4, 5), (12, 1, 20)) is None
    assert groups_of((6, 4), (1, 6, 4)) is None
    whole, parts = (2, 6, 4, 5), (2, 3, 2, 20)
    assert operand_shape((6, 1, 1), whole, parts) == (1, 3, 2, 1)
    assert operand_shape((2, 6, 1, 1), whole, parts) == (2, 3, 2, 1)
    assert operand_shape(whole, whole, parts) == parts
    assert operand_shape((4, 5), whole, parts) == (1, 1, 1, 20)
    assert operand_shape((), whole, parts) == ()
    assert operand_shape((5,), whole, parts) is None
