"""Models of unusual form: what they return, what they take, and what they share."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tilecast
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten


class Wrapped(nn.Module):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function
        self.table = nn.Parameter(torch.arange(6.0).reshape(2, 3))

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(self.table, *args, **kwargs)


X, Y = torch.linspace(-2, 3, 12).reshape(3, 4), torch.arange(4.0)
S, N = torch.tensor(1.5), torch.tensor(3)
FORMS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "an_input": (lambda w, x: x, (X,)),
    "an_input_among_results": (lambda w, x: (x, x + 1), (X,)),
    "a_view_of_an_input": (lambda w, x: x.T, (X,)),
    "a_reshaped_input": (lambda w, x: x.reshape(-1), (X,)),
    "a_weight": (lambda w, x: (w, x * 2), (X,)),
    "a_view_of_a_weight": (lambda w, x: (w.T, w[1]), (X,)),
    "a_constant": (lambda w, x: (3, "a", None, 2.5, x * 2), (X,)),
    "a_constant_tensor": (lambda w, x: torch.ones(2, 3), (X,)),
    "one_result_twice": (lambda w, x: (lambda y: (y, y))(x + 1), (X,)),
    "a_result_and_its_view": (lambda w, x: (lambda y: (y, y.T, y[0], y.reshape(-1)))(x + 1), (X,)),
    "a_result_used_by_another": (lambda w, x: (lambda y: (y, y * 2, y.sum()))(x.exp()), (X,)),
    "equal_results": (lambda w, x: (x + 1, x + 1), (X,)),
    "nested": (lambda w, x: {"a": [x + 1, (x - 1,)], "b": {"c": x.sum()}}, (X,)),
    "no_tensor_input": (lambda w: w * 2 + 1, ()),
    "a_number_input": (lambda w, x, k: x * k, (X, 3)),
    "nested_inputs": (lambda w, d, p: d["a"] * p[0] + p[1][0], ({"a": X}, (Y, [S]))),
    "rank_0_inputs": (lambda w, s, n: (s * 2, s + n, n * n, s.reshape(1, 1)), (S, N)),
    "rank_0_and_more": (lambda w, x, s: (x * s).sum() / s, (X, S)),
    "an_unused_input": (lambda w, x, y: y + 1, (X, Y)),
    "the_same_input_twice": (lambda w, x, y: x @ y.T, (X, X)),
    "empty": (lambda w, x: (x * 2, x.sum(), x.T), (torch.zeros(0, 5),)),
    "not_a_number": (lambda w, x: (x.sum() * math.nan, x / 0), (X.abs() + 1,)),
    "nothing": (lambda w, x: (), (X,)),
    "an_input_written_to": (lambda w, x: (x.clone().mul_(2), x.add(1).relu_()), (X,)),
}


def flat(value: Any) -> tuple[list[Any], Any]:
    leaves, spec = tree_flatten(value)
    return leaves, spec


def bits(tensor: Tensor) -> bytes:
    return tensor.numpy().tobytes()


@pytest.mark.parametrize("name", FORMS)
def test_model_of_unusual_form(name: str, tmp_path: Path) -> None:
    function, inputs = FORMS[name]
    model = Wrapped(function).eval()
    compiled = tilecast.compile(model, inputs)
    with torch.no_grad():
        expected, spec = flat(model(*inputs))
    for _ in range(2):  # the second call meets pooled outputs and a used arena
        found, found_spec = flat(compiled(*inputs))
        assert found_spec == spec
        for got, want in zip(found, expected, strict=True):
            if isinstance(want, Tensor):
                torch.testing.assert_close(got, want, equal_nan=True)
            else:
                assert got == want
    if compiled.artifact.signature.results:
        compiled.save(tmp_path / "out")
        loaded, _ = flat(tilecast.load(tmp_path / "out")(*inputs))
        for got, want in zip(loaded, found, strict=True):
            assert bits(got) == bits(want) if isinstance(want, Tensor) else got == want


def test_results_stay_when_the_model_is_called_again() -> None:
    compiled = tilecast.compile(Wrapped(lambda w, x: (x + 1, x.T * 2)), (X,))
    first = compiled(X)
    kept = [tensor.clone() for tensor in first]
    compiled(X * 5)
    assert all(torch.equal(a, b) for a, b in zip(first, kept, strict=True))


def test_keyword_arguments_in_any_order() -> None:
    model = Wrapped(lambda w, x, *, scale, shift: x * scale + shift)
    compiled = tilecast.compile(model, (X,), {"scale": S, "shift": Y})
    torch.testing.assert_close(compiled(X, shift=Y, scale=S), X * S + Y)


def test_strided_inputs() -> None:
    compiled = tilecast.compile(Wrapped(lambda w, x: x * 2 + 1), (X,))
    strided = torch.randn(4, 3).T
    torch.testing.assert_close(compiled(strided), strided * 2 + 1)


def test_masked_loads_of_integers_compile_without_warnings(tmp_path: Path) -> None:
    x = torch.arange(5 * 7 * 19).reshape(5, 7, 19) % 23
    compiled = tilecast.compile(Wrapped(lambda w, x: (x.argmax(1), x.argmin(2))), (x,))
    package = compiled.save(tmp_path / "out")
    done = subprocess.run(["make", "-C", str(package), "check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
