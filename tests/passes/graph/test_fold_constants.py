"""fold-constants computes constant ops once, never stores more than it saves."""

import numpy as np
import torch
import torch.nn.functional as F
from tilecast.compiler.frontend.export import export_model
from tilecast.compiler.frontend.program import import_program
from tilecast.dialects.graph import AttentionOp, FullOp, GraphOp, IotaOp, WeightOp
from tilecast.dialects.reference.graph import evaluate
from tilecast.dialects.weights import WeightStore
from tilecast.passes.context import CompileContext
from tilecast.passes.graph.canonicalize import CanonicalizePass
from tilecast.passes.graph.fold_constants import FoldConstantsPass, is_progression
from torch import Tensor, nn
from xdsl.dialects.builtin import ModuleOp


class Weighted(nn.Module):
    """Calls a method of a subclass with one stored weight."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.w = nn.Parameter(torch.randn(*shape))


def folded(module: nn.Module, *inputs: Tensor) -> tuple[ModuleOp, WeightStore]:
    """The folded graph, whose results in the model's own dtype are those before the pass."""
    model = import_program(export_model(module, inputs))
    arrays = [x.numpy() for x in inputs]
    before = evaluate(model.module, model.weights, arrays, dtype=None)
    context = CompileContext(weights=model.weights)
    CanonicalizePass().apply(context, model.module)
    FoldConstantsPass().apply(context, model.module)
    model.module.verify()
    after = evaluate(model.module, context.weights, arrays, dtype=None)
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)
    return model.module, context.weights


def names(module: ModuleOp) -> list[str]:
    return [op.name.removeprefix("graph.") for op in module.walk() if isinstance(op, GraphOp)]


def test_formulas_over_weights_become_weights() -> None:
    class Model(Weighted):
        def forward(self, x: Tensor) -> Tensor:
            return x * (self.w.exp() + 1).rsqrt()

    module, weights = folded(Model(5), torch.randn(3, 5))
    assert names(module) == ["weight", "pointwise"]
    assert list(weights) == ["w", "w_folded"]


def test_transposed_weights_are_stored_transposed() -> None:
    class Model(Weighted):
        def forward(self, x: Tensor) -> Tensor:
            return x @ self.w

    module, weights = folded(Model(4, 5), torch.randn(3, 4))
    assert names(module) == ["weight", "linear"]
    np.testing.assert_array_equal(weights["w_folded"], weights["w"].T)
    assert weights["w_folded"].flags.c_contiguous


def test_expanded_weights_stay_views() -> None:
    class Model(Weighted):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([x, self.w.exp().expand(300, 300)])

    module, weights = folded(Model(1, 300), torch.randn(2, 300))
    assert names(module) == ["weight", "view", "cat"]
    assert weights["w_folded"].shape == (1, 300)


def test_results_larger_than_their_weights_stay_ops() -> None:
    class Model(Weighted):
        def forward(self, x: Tensor) -> Tensor:
            return x + self.w[:, None] * self.w.exp()

    module, weights = folded(Model(200), torch.randn(200, 200))
    assert names(module).count("pointwise") == 2
    assert all(array.size <= 200 for array in weights.values())


def test_small_tables_from_ranges_are_stored() -> None:
    def table(x: Tensor) -> Tensor:
        i = torch.arange(8)
        return x + (i[:, None] * i)

    module, weights = folded(Wrapped(table), torch.randn(8, 8))
    assert names(module) == ["weight", "cast", "pointwise"] or "cast" not in names(module)
    assert len(weights) == 1


class Wrapped(nn.Module):
    def __init__(self, function: object) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(*inputs)  # type: ignore[operator]


def test_equal_elements_become_a_constant_and_not_a_weight() -> None:
    def function(x: Tensor) -> Tensor:
        return x + torch.arange(8).clamp(max=0).float()

    module, weights = folded(Wrapped(function), torch.randn(8))
    assert not weights
    assert any(isinstance(op, FullOp) for op in module.walk())


def attention(mask: Tensor) -> AttentionOp:
    x = torch.randn(2, 3, 5, 4)

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mask", mask)

        def forward(self, q: Tensor) -> Tensor:
            return F.scaled_dot_product_attention(q, q, q, self.mask)

    module, _ = folded(Model(), x)
    (op,) = [op for op in module.walk() if isinstance(op, AttentionOp)]
    return op


def test_triangular_attention_masks_become_causal() -> None:
    op = attention(torch.ones(5, 5, dtype=torch.bool).tril())
    assert op.mask is None
    assert op.causal.value.data


def test_full_attention_masks_vanish() -> None:
    op = attention(torch.ones(1, 1, 5, 5, dtype=torch.bool))
    assert op.mask is None
    assert not op.causal.value.data


def test_other_attention_masks_stay() -> None:
    assert attention(torch.ones(5, 5, dtype=torch.bool).tril(1)).mask is not None


def test_weights_without_data_stay() -> None:
    class Model(Weighted):
        def forward(self, x: Tensor) -> Tensor:
            return x * self.w.exp()

    model = import_program(export_model(Model(5), (torch.randn(5),)))
    before = names(model.module)
    FoldConstantsPass().apply(CompileContext(), model.module)
    assert names(model.module) == before


def test_graphs_without_constants_stay() -> None:
    module, weights = folded(Wrapped(torch.exp), torch.randn(5))
    assert names(module) == ["pointwise"]
    assert not weights
    assert not any(isinstance(op, WeightOp) for op in module.walk())


def test_integers_in_equal_steps_are_computed() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("at", torch.tensor([7, 4, 1, -2]))
            self.register_buffer("other", torch.tensor([7, 4, 1, -1]))

        def forward(self, x: Tensor) -> Tensor:
            return x + (self.at[:, None] * 2 + 1) - (self.other[:, None] * 2 + 1)

    module, weights = folded(Model(), torch.randint(0, 9, (4, 3)))
    found = [op for op in module.walk() if isinstance(op, IotaOp)]
    assert [(op.start.data, op.step.data) for op in found] == [(15, -6)]
    assert names(module).count("weight") == 1
    assert [name for name in weights if name.endswith("folded")] == ["other_folded"]


def test_progressions() -> None:
    largest = np.iinfo(np.int64).max
    assert is_progression(np.array([3, 3]))
    assert is_progression(np.arange(5, dtype=np.int8))
    assert is_progression(np.array([-largest - 1, -1, largest - 1]))
    assert not is_progression(np.array([3]))
    assert not is_progression(np.array([0, 1, 3]))
    assert not is_progression(np.array([0.0, 1.0]))
    assert not is_progression(np.array([0, largest, -2]))  # in steps that wrap around
