"""fold-batch-norm leaves the layers alone and the results equal."""

import numpy as np
import pytest
import torch
from tilecast.compiler.frontend.export import export_model
from tilecast.compiler.frontend.program import import_program
from tilecast.compiler.quantize import quantize_matrix
from tilecast.dialects.graph import GraphOp
from tilecast.dialects.reference.graph import evaluate
from tilecast.passes.context import CompileContext
from tilecast.passes.registry import load_pass
from torch import Tensor, nn
from xdsl.dialects.builtin import ModuleOp


def trained(module: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for part in module.modules():
        if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)):
            nn.init.normal_(part.running_mean)
            nn.init.uniform_(part.running_var, 0.5, 2.0)
            if part.affine:
                nn.init.normal_(part.weight)
                nn.init.normal_(part.bias)
    return module


def folded(module: nn.Module, x: Tensor) -> ModuleOp:
    model = import_program(export_model(trained(module), (x,)))
    before = evaluate(model.module, model.weights, [x.numpy()])
    context = CompileContext(weights=model.weights)
    for step in ("canonicalize", "fold-constants", "canonicalize", "fold-batch-norm"):
        load_pass(step)().apply(context, model.module)
        model.module.verify()
    for old, new in zip(before, evaluate(model.module, model.weights, [x.numpy()]), strict=True):
        # the folded weights are rounded to float32
        np.testing.assert_allclose(new, old, rtol=1e-5, atol=2e-6)
    return model.module


def names(module: ModuleOp) -> list[str]:
    return [op.name.removeprefix("graph.") for op in module.walk() if isinstance(op, GraphOp)]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("groups", [1, 2])
def test_batch_norm_after_a_convolution_is_folded(bias: bool, affine: bool, groups: int) -> None:
    layers = nn.Sequential(
        nn.Conv2d(4, 6, 3, padding=1, bias=bias, groups=groups), nn.BatchNorm2d(6, affine=affine)
    )
    assert names(folded(layers, torch.randn(2, 4, 5, 5))) == ["weight", "weight", "conv"]


def test_batch_norm_after_a_linear_layer_is_folded() -> None:
    layers = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6))
    assert names(folded(layers, torch.randn(5, 4))) == ["weight", "weight", "linear"]


def test_one_and_three_dimensional_convolutions_are_folded() -> None:
    one = nn.Sequential(nn.Conv1d(4, 6, 3), nn.BatchNorm1d(6))
    assert "pointwise" not in names(folded(one, torch.randn(2, 4, 7)))
    three = nn.Sequential(nn.Conv3d(2, 3, 2), nn.BatchNorm3d(3))
    assert "pointwise" not in names(folded(three, torch.randn(1, 2, 3, 4, 5)))


class TwoReaders(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return self.norm(y) + y


def test_a_convolution_with_another_reader_is_not_folded() -> None:
    module = folded(TwoReaders(), torch.randn(1, 3, 4, 4))
    assert names(module).count("pointwise") == 3


class PerPixel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.scale = nn.Parameter(torch.randn(5, 5))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) * self.scale


def test_scales_that_vary_by_pixel_are_not_folded() -> None:
    assert names(folded(PerPixel(), torch.randn(1, 3, 5, 5))).count("pointwise") == 1


def test_batch_norm_before_a_convolution_is_not_folded() -> None:
    layers = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3, padding=1))
    assert names(folded(layers, torch.randn(1, 3, 5, 5))).count("pointwise") == 2


@pytest.mark.parametrize(("fn", "is_folded"), [("add", True), ("mul", False)])
def test_weights_with_codes_take_shifts_only(fn: str, is_folded: bool) -> None:
    class Shifted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.vector = nn.Linear(4, 6, bias=False), nn.Parameter(torch.rand(6))

        def forward(self, x: Tensor) -> Tensor:
            return getattr(torch, fn)(self.layer(x), self.vector)

    model = import_program(export_model(Shifted(), (torch.randn(5, 4),)))
    (symbol,) = (name for name in model.weights if "layer" in name)
    tensor = quantize_matrix(model.weights[symbol], "u8")
    context = CompileContext(weights=model.weights, quantized={symbol: tensor})
    for step in ("canonicalize", "fold-constants", "fold-batch-norm", "quantize-weights"):
        load_pass(step)().apply(context, model.module)
    ops = [op.name for op in model.module.walk()]
    assert "quant.linear" in ops
    assert ("graph.pointwise" not in ops) == is_folded
