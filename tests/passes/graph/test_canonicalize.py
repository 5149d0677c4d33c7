"""canonicalize keeps every bit, and reaches the normal form."""

import math
import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from tilecast.compiler.frontend.export import export_model
from tilecast.compiler.frontend.program import import_program
from tilecast.dialects.graph import (
    CastOp,
    GraphOp,
    LinearOp,
    NormOp,
    PointwiseOp,
    ReshapeOp,
    ViewOp,
    WeightOp,
    element_of,
    shape_of,
)
from tilecast.dialects.reference.graph import evaluate
from tilecast.dialects.weights import WeightStore
from tilecast.passes.context import CompileContext
from tilecast.passes.graph.canonicalize import CanonicalizePass
from torch import Tensor, nn
from xdsl.dialects.builtin import ModuleOp

Function = Callable[..., Tensor]


class Wrapped(nn.Module):
    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(*inputs)


def canonical(module: nn.Module, *inputs: Tensor) -> ModuleOp:
    """The canonical graph of `module`, whose results are bit for bit those before the pass.

    Sums of products are up to BLAS, which may round them otherwise for another number of rows.
    """
    model = import_program(export_model(module, inputs))
    arrays = [x.numpy() for x in inputs]
    before = evaluate(model.module, model.weights, arrays)
    CanonicalizePass().apply(CompileContext(weights=model.weights), model.module)
    model.module.verify()
    has_products = any(isinstance(op, LinearOp) for op in model.module.walk())
    for old, new in zip(before, evaluate(model.module, model.weights, arrays), strict=True):
        if has_products:
            np.testing.assert_allclose(new, old, rtol=1e-13, atol=1e-13)
        else:
            assert old.tobytes() == new.tobytes()
    again = str(model.module)
    CanonicalizePass().apply(CompileContext(weights=model.weights), model.module)
    assert str(model.module) == again
    return model.module


def ops(module: ModuleOp) -> list[GraphOp]:
    return [op for op in module.walk() if isinstance(op, GraphOp)]


def names(module: ModuleOp) -> list[str]:
    return [op.name.removeprefix("graph.") for op in ops(module)]


X = torch.randn(2, 3, 4)
MOVES: list[Function] = [
    lambda x: x.transpose(0, -1),
    lambda x: x.flatten(),
    lambda x: x.unsqueeze(1),
    lambda x: x.squeeze(),
    lambda x: x[1:] if x.shape[0] > 1 else x,
    lambda x: x.flip(0),
    lambda x: x[:, None].expand(x.shape[0], 2, *x.shape[1:]),
    lambda x: x.repeat(2, *[1] * (x.ndim - 1)),
    lambda x: x.reshape(-1, x.shape[-1]),
    lambda x: x.movedim(0, -1),
    lambda x: x.reshape(2, -1) if x.numel() % 2 == 0 else x,
    lambda x: x[..., ::2],
]


def test_chains_of_views_become_at_most_a_view_and_a_reshape_between_two() -> None:
    """Forty random chains, traced as one model."""
    rng = random.Random(0)
    chains = [rng.choices(MOVES, k=rng.randint(1, 5)) for _ in range(40)]

    def follow(chain: list[Function], x: Tensor) -> Tensor:
        for move in chain:
            x = move(x)
            if x.ndim == 0 or x.ndim > 6:
                x = x.reshape(-1)
        return x + 1

    module = canonical(Wrapped(lambda x: tuple(follow(chain, x) for chain in chains)), X)
    for op in ops(module):
        if isinstance(op, ViewOp):
            assert not isinstance(op.source.owner, ViewOp)
        if isinstance(op, ReshapeOp):
            assert not isinstance(op.source.owner, ReshapeOp)


def test_opposite_transposes_vanish() -> None:
    assert names(canonical(Wrapped(lambda x: x.transpose(0, 2).transpose(2, 0).exp()), X)) == [
        "pointwise"
    ]


def test_merging_and_splitting_heads_is_one_view() -> None:
    module = canonical(
        Wrapped(lambda x: x.view(2, 5, 4, 3).transpose(1, 2).exp()), torch.randn(2, 5, 12)
    )
    assert names(module) == ["view", "pointwise"]


def test_linear_layers_work_on_rows_and_everything_between_them_too() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up = nn.Linear(4, 8)
            self.down = nn.Linear(8, 4)
            self.norm = nn.LayerNorm(4)

        def forward(self, x: Tensor) -> Tensor:
            return self.norm(x + self.down(nn.functional.gelu(self.up(x)) * 2))

    module = canonical(Block(), X)
    for op in ops(module):
        if isinstance(op, (LinearOp, PointwiseOp, NormOp)):
            assert len(shape_of(op.result)) == 2
    reshapes = [op for op in ops(module) if isinstance(op, ReshapeOp)]
    assert [shape_of(op.result) for op in reshapes] == [(6, 4), (2, 3, 4)]


def test_pointwise_that_mixes_rows_stays() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x: Tensor, s: Tensor) -> Tensor:
            return self.layer(x) * s

    module = canonical(Scaled(), X, torch.randn(3, 1))
    (product,) = [op for op in ops(module) if isinstance(op, PointwiseOp)]
    assert shape_of(product.result) == (2, 3, 4)


def test_nothing_is_left_of_rows_that_do_not_work_out() -> None:
    class Choice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x: Tensor, s: Tensor) -> Tensor:
            y = self.layer(x)
            return torch.where(y > s, y, s)

    for op in ops(canonical(Choice(), X, torch.randn(2, 3, 1))):
        for use in (use for result in op.results for use in result.uses):
            assert use.operation.parent is not None


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x * 1,
        lambda x: x / 1,
        lambda x: x - 0,
        lambda x: x.double().float(),
        lambda x: x.reshape(3, 8).reshape(2, 3, 4),
        lambda x: x.expand(2, 3, 4),
        lambda x: torch.cat([x], 1),
        lambda x: torch.where(torch.ones(2, 3, 4, dtype=torch.bool), x, 0.0),
        lambda x: x.masked_fill(torch.zeros(4, dtype=torch.bool), math.inf),
    ],
)
def test_identities_vanish(function: Function) -> None:
    assert names(canonical(Wrapped(lambda x: function(x).exp()), X)) == ["pointwise"]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x + 0.0,  # turns -0.0 into 0.0
        lambda x: x - (-0.0),
        lambda x: x * 0,  # NaN stays NaN
        lambda x: x.half().float(),
        lambda x: x.int().float(),
    ],
)
def test_what_looks_like_an_identity_but_is_none_stays(function: Function) -> None:
    special = torch.tensor([-0.0, 0.0, math.nan, math.inf, 1.1])
    module = canonical(Wrapped(function), special)
    assert any(isinstance(op, (PointwiseOp, CastOp)) for op in ops(module))


def test_integer_identities_vanish() -> None:
    x = torch.arange(6)
    assert names(canonical(Wrapped(lambda x: (x + 0) * 1 * x), x)) == ["pointwise"]


def test_constant_arithmetic_is_done_once() -> None:
    def function(x: Tensor) -> Tensor:
        return x + (torch.full((4,), 2.0) * 3 - 1).reshape(1, 4).expand(3, 4)

    module = canonical(Wrapped(function), X)
    assert names(module) == ["full", "pointwise"]
    assert shape_of(ops(module)[0].result) == ()


def test_indexing_by_ranges_becomes_a_view() -> None:
    def function(x: Tensor) -> Tensor:
        rows = torch.arange(2)[:, None]
        columns = torch.arange(3)[None, :]
        return x[rows, columns].exp()

    assert names(canonical(Wrapped(function), X)) == ["pointwise"]


def test_indexing_by_data_stays() -> None:
    module = canonical(Wrapped(lambda x, i: x[i]), X, torch.tensor([1, 0]))
    assert "index" in names(module)


def test_embedding_of_known_positions_becomes_a_view() -> None:
    class Positions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(9, 4)

        def forward(self, x: Tensor) -> Tensor:
            return x + self.table(torch.arange(2, 5)) + self.table(torch.zeros(2, 3).long())

    module = canonical(Positions(), X)
    assert "embedding" not in names(module)


def test_comparisons_of_ranges_that_do_not_overlap_are_known() -> None:
    def function(x: Tensor) -> Tensor:
        i = torch.arange(4)
        return x.masked_fill(i < 0, 1.0).masked_fill(~(i[:, None] >= i - 9)[0], 2.0).exp()

    assert names(canonical(Wrapped(function), X)) == ["pointwise"]


def test_comparisons_of_ranges_that_overlap_stay() -> None:
    module = canonical(Wrapped(lambda x: x.masked_fill(torch.arange(4) < 3, 1.0)), X)
    assert names(module).count("pointwise") == 2


def test_equal_ops_are_joined_and_zeros_of_both_signs_are_not() -> None:
    def function(x: Tensor) -> Tensor:
        return (x.exp() + x.exp()) / torch.full((), 0.0) + x / torch.full((), -0.0)

    module = canonical(Wrapped(function), X)
    assert names(module).count("full") == 2
    assert sum(isinstance(op, PointwiseOp) and op.fn.data == "exp" for op in ops(module)) == 1


def test_unused_ops_are_dropped() -> None:
    class Unused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(4))

        def forward(self, x: Tensor) -> Tensor:
            _ = (x * self.weight).sum()
            return x.exp()

    assert names(canonical(Unused(), X)) == ["pointwise"]


def test_locations_survive() -> None:
    module = canonical(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), X)
    assert all("loc" in op.attributes for op in ops(module) if not isinstance(op, WeightOp))


def test_weights_are_left_alone() -> None:
    context = CompileContext(weights=WeightStore({"w": np.ones(3)}))
    CanonicalizePass().apply(context, ModuleOp([]))
    assert list(context.weights) == ["w"]


def compared(function: Function, *inputs: Tensor) -> set[str]:
    """The types that comparisons read."""
    module = canonical(Wrapped(function), *inputs)
    ops = [op for op in module.walk() if isinstance(op, PointwiseOp) and op.fn.data == "le"]
    assert ops
    return {str(element_of(v)) for op in ops for v in op.operands_}


def test_positions_are_compared_in_32_bits() -> None:
    x = torch.randn(5, 5)
    rows, columns = torch.arange(5)[:, None], torch.arange(5)
    assert compared(lambda x: torch.where(rows.neg() * 3 - 1 <= columns, x, 0.0), x) == {"i64"}

    def triangle(x: Tensor) -> Tensor:
        n = x.shape[0]
        rows = torch.arange(n)[:, None] * 3 - 1
        return torch.where(rows <= torch.arange(n), x, 0.0)

    assert compared(triangle, x) == {"i32"}


def test_positions_that_32_bits_do_not_hold_stay() -> None:
    def far(x: Tensor) -> Tensor:
        return torch.where(torch.arange(5) * 2**30 <= torch.arange(5), x, 0.0)

    assert compared(far, torch.randn(5)) == {"i64"}
    assert compared(
        lambda x, i: torch.where(i <= torch.arange(5), x, 0.0), torch.randn(5), torch.arange(5)
    ) == {"i64"}  # numbers that are data


def test_picks_from_a_log_softmax_need_only_its_sums() -> None:
    """As of a cross-entropy; kept where the softmax is read besides, and along another dim."""
    x, rows = torch.randn(6, 9), torch.tensor([[0, 3], [8, 8], [2, 1], [0, 0], [5, 7], [4, 3]])

    def picked(x: Tensor, i: Tensor) -> Tensor:
        return torch.log_softmax(x, 1).gather(1, i)

    assert "softmax" not in names(canonical(Wrapped(picked), x, rows))
    assert "softmax" not in names(
        canonical(Wrapped(torch.nn.functional.cross_entropy), x, rows[:, 0])
    )
    image, labels = torch.randn(2, 5, 3, 4), torch.randint(0, 5, (2, 3, 4))
    assert "softmax" not in names(
        canonical(Wrapped(torch.nn.functional.cross_entropy), image, labels)
    )
    whole: list[Function] = [
        lambda x, i: torch.log_softmax(x, 0).gather(1, i),
        lambda x, i: torch.softmax(x, 1).gather(1, i),
        lambda x, i: (torch.log_softmax(x, 1), torch.log_softmax(x, 1).gather(1, i)),  # type: ignore[dict-item]
    ]
    for function in whole:
        assert "softmax" in names(canonical(Wrapped(function), x, rows))


def test_picks_behind_flattened_rows_need_only_sums_too() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(4, 7)

        def forward(self, x: Tensor, i: Tensor) -> Tensor:
            return torch.log_softmax(self.head(x), -1).gather(-1, i[..., None])

    module = canonical(Tokens(), X, torch.randint(0, 7, (2, 3)))
    assert "softmax" not in names(module)
