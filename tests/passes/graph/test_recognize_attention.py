"""recognize-attention: products of softmaxes of scores, and nothing else, become attention."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tilecast.compiler.frontend.export import export_model
from tilecast.compiler.frontend.program import import_program
from tilecast.dialects.graph import AttentionOp
from tilecast.dialects.reference.graph import evaluate
from tilecast.passes.context import CompileContext
from tilecast.passes.registry import load_pass
from torch import Tensor, nn

Q, K, V = torch.randn(2, 3, 7, 4), torch.randn(2, 3, 9, 4), torch.randn(2, 3, 9, 5)
BIAS, HIDDEN = torch.randn(3, 7, 9), torch.rand(2, 1, 7, 9) > 0.6
LOW = float("-inf")


class Function(nn.Module):
    """A module that calls a function; `weight` is stored, `triangle` hides later keys."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.randn(2, 3, 9, 4))
        self.register_buffer("triangle", torch.ones(7, 9).tril() == 0)

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(self, *inputs)


def product(q: Tensor, k: Tensor) -> Tensor:
    return q @ k.transpose(-1, -2)


def recognized(function: Callable[..., Tensor], *inputs: Tensor) -> list[AttentionOp]:
    """The attention ops of a function, which the pass leaves the meaning of."""
    torch.manual_seed(0)
    model = import_program(export_model(Function(function), inputs))
    arrays = [x.numpy() for x in inputs]
    before = evaluate(model.module, model.weights, arrays)
    context = CompileContext(weights=model.weights)
    for step in ("canonicalize", "recognize-attention", "fold-constants", "canonicalize"):
        load_pass(step)().apply(context, model.module)
        model.module.verify()
    with np.errstate(invalid="ignore"):
        after = evaluate(model.module, model.weights, arrays)
    for old, new in zip(before, after, strict=True):
        np.testing.assert_allclose(new, old, rtol=2e-5, atol=2e-6)
    return [op for op in model.module.walk() if isinstance(op, AttentionOp)]


def test_scales_and_masks_become_those_of_attention() -> None:
    for function, inputs, scale, is_masked in [
        (lambda _, q, k, v: product(q, k).softmax(-1) @ v, (Q, K, V), 1, False),
        (lambda _, q, k, v: (product(q, k) * 0.3 / 2).softmax(-1) @ v, (Q, K, V), 0.15, False),
        (lambda _, q, k, v, m: (product(q, k) / 2 + m).softmax(-1) @ v, (Q, K, V, BIAS), 0.5, True),
        (lambda _, q, k, v, m: (m + product(q, k)).softmax(-1) @ v, (Q, K, V, BIAS), 1, True),
        (
            lambda _, q, k, v, m: (product(q, k) + m[:1] + m * 2).softmax(-1) @ v,
            (Q, K, V, BIAS),
            1,
            True,
        ),
        (
            lambda _, q, k, v, m: product(q, k).masked_fill(m, LOW).softmax(-1) @ v,
            (Q, K, V, HIDDEN),
            1,
            True,
        ),
        (
            lambda _, q, k, v, m: torch.where(m, product(q, k), LOW).softmax(-1) @ v,
            (Q, K, V, HIDDEN),
            1,
            True,
        ),
        (
            lambda _, q, k, v: F.dropout(product(q, k).softmax(-1), training=False) @ v,
            (Q, K, V),
            1,
            False,
        ),
    ]:
        (op,) = recognized(function, *inputs)
        assert op.scale.value.data == pytest.approx(scale)
        assert (op.mask is not None) == is_masked
        assert op.nan_if_hidden is not None


def test_einsums_with_other_batch_dims_are_recognized() -> None:
    def function(_: Function, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / 2
        return torch.einsum("bhqk,bkhd->bqhd", scores.softmax(-1), v)

    x = torch.randn(2, 6, 3, 4)
    assert len(recognized(function, x, x + 1, x - 1)) == 1
    assert len(recognized(function, x[:1], x[:1] + 1, x[:1] - 1)) == 1


def test_a_stored_triangle_makes_attention_causal() -> None:
    def function(self: Function, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return product(q, k).masked_fill(self.triangle, LOW).softmax(-1) @ v

    (op,) = recognized(function, Q, K, V)
    assert op.causal.value.data
    assert op.mask is None


def test_rows_without_keys_stay_nan() -> None:
    hidden = HIDDEN.clone()
    hidden[0, 0, 2] = True
    (op,) = recognized(
        lambda _, q, k, v, m: product(q, k).masked_fill(m, LOW).softmax(-1) @ v, Q, K, V, hidden
    )
    assert op.mask is not None


@pytest.mark.parametrize(
    "function",
    [
        lambda _, q, k, v, m: product(q, k).softmax(-2) @ v,
        lambda _, q, k, v, m: product(q, k).log_softmax(-1) @ v,
        lambda _, q, k, v, m: ((product(q, k) + m) / 2).softmax(-1) @ v,
        lambda _, q, k, v, m: (product(q, k).masked_fill(m > 0, LOW) + m).softmax(-1) @ v,
        lambda _, q, k, v, m: (2 / product(q, k)).softmax(-1) @ v,
        lambda _, q, k, v, m: (product(q, k) * m).softmax(-1) @ v,
        lambda _, q, k, v, m: product(q, k).masked_fill(m > 0, -1.0).softmax(-1) @ v,
        lambda _, q, k, v, m: (p := product(q, k).softmax(-1)) @ v + p.sum(),
        lambda _, q, k, v, m: (s := product(q, k)).softmax(-1) @ v + s.sum(),
        lambda self, q, k, v, m: product(q, self.weight).softmax(-1) @ v,
        lambda self, q, k, v, m: product(q, k).softmax(-1) @ self.weight,
    ],
    ids=[
        "other dim",
        "logarithm",
        "scaled mask",
        "two masks",
        "number over scores",
        "mask as factor",
        "finite filling",
        "probabilities read twice",
        "scores read twice",
        "stored keys",
        "stored values",
    ],
)
def test_others_stay(function: Callable[..., Tensor]) -> None:
    assert not recognized(function, Q, K, V, BIAS)


def test_matrices_and_narrow_floats_stay() -> None:
    def plain(_: Function, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return product(q, k).softmax(-1) @ v

    assert not recognized(plain, Q[0, 0], K[0, 0], V[0, 0])
    assert not recognized(plain, Q.half(), K.half(), V.half())
