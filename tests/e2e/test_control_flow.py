"""torch.cond, while_loop, scan and map become control flow of the program, equal to eager."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import tilecast
import torch
from tilecast.dialects.errors import UnsupportedOperatorError
from tilecast.dialects.reference.graph import evaluate
from torch import Tensor, nn
from torch._higher_order_ops import map as torch_map
from torch._higher_order_ops.associative_scan import associative_scan
from torch._higher_order_ops.scan import scan
from torch._higher_order_ops.while_loop import while_loop

Inputs = tuple[Tensor, ...]


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape) + 1))


class Branches(nn.Module):
    """A condition on data; one branch has weights, both give two results of other shapes."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.bias = nn.Linear(33, 17), nn.Parameter(normal(17))

    def forward(self, x: Tensor) -> Any:
        def positive(x: Tensor) -> tuple[Tensor, Tensor]:
            return self.wide(x).relu(), x.amax(1)

        def negative(x: Tensor) -> tuple[Tensor, Tensor]:
            return x[:, 3:20] * 2 + self.bias, x[:, 5] + 1

        first, second = torch.cond(x.sum() > 0, positive, negative, (x,))
        return first.exp(), second * 3, x + 1


class Nested(nn.Module):
    """Branches inside a branch, one of which gives what comes in."""

    def forward(self, x: Tensor, p: Tensor, q: Tensor) -> Tensor:
        def outer(x: Tensor, q: Tensor) -> Tensor:
            return torch.cond(q, lambda y: y.sin(), lambda y: y.clone(), (x,)) + x

        return torch.cond(p, outer, lambda x, q: x * q, (x, q))


class Newton(nn.Module):
    """Square roots by iteration until they are close: the number of iterations depends on data."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        def is_far(count: Tensor, y: Tensor, x: Tensor) -> Tensor:
            return ((y * y - x).abs().amax() > 1e-3) & (count < 50)

        def step(count: Tensor, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            return count + 1, 0.5 * (y + x / y), x.clone()

        count, y, _ = while_loop(is_far, step, (torch.zeros((), dtype=torch.int64), x, x))
        return count, y


class Layers(nn.Module):
    """A layer `n` times, and one of two activations in turns."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(24, 24)

    def forward(self, x: Tensor, n: Tensor) -> Tensor:
        def goes_on(i: Tensor, x: Tensor) -> Tensor:
            return i < n

        def body(i: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
            y = self.layer(x)
            return i + 1, torch.cond(i % 2 == 0, lambda y: y.relu(), lambda y: y.tanh(), (y,))

        return while_loop(goes_on, body, (torch.zeros((), dtype=torch.int64), x))[1]


class Numbers(nn.Module):
    """Python numbers are carried, decide when to stop, and are operands of tensors."""

    def forward(self, x: Tensor) -> Tensor:
        def body(i: int, left: int, x: Tensor) -> tuple[int, int, Tensor]:
            return i * 2 + 1, left - 1, x * 1.5 + i

        found: Tensor = while_loop(lambda i, left, x: left > i % 3, body, (1, 5, x))[2]
        return found


class Recurrence(nn.Module):
    """A recurrent cell over the second dimension, with two states."""

    def __init__(self, reverse: bool) -> None:
        super().__init__()
        self.cell, self.reverse = nn.Linear(19, 19), reverse

    def forward(self, x: Tensor, h: Tensor) -> Any:
        def step(carry: tuple[Tensor, Tensor], x: Tensor) -> Any:
            h, count = carry
            h = torch.tanh(self.cell(h) + x)
            return (h, count + 1), (h * 2, h.sum(1))

        start = (h, torch.zeros(3))
        return scan(step, start, x, dim=1, reverse=self.reverse)


class Rows(nn.Module):
    """A function of every row, and sums of all rows before it."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(normal(33))

    def forward(self, x: Tensor) -> Any:
        rows = torch_map(lambda row: (row * self.scale).softmax(0), x)
        return rows, associative_scan(torch.add, x, 0, combine_mode="generic")


X, POSITIVE = normal(5, 33), normal(5, 33).abs() + 0.5
TRUE, FALSE = torch.tensor(True), torch.tensor(False)
MODELS: dict[str, tuple[nn.Module, list[Inputs]]] = {
    "branches": (Branches(), [(POSITIVE,), (-POSITIVE,)]),
    "nested": (Nested(), [(X, p, q) for p in (TRUE, FALSE) for q in (TRUE, FALSE)]),
    "newton": (Newton(), [(POSITIVE,), (POSITIVE * 100,), (torch.ones(5, 33),)]),
    "layers": (Layers(), [(normal(7, 24), torch.tensor(n)) for n in (5, 0, 1, 4)]),
    "numbers": (Numbers(), [(X,)]),
    "rows": (Rows(), [(X,)]),
    "scan_of_seven": (Recurrence(False), [(normal(3, 7, 19), normal(3, 19))]),
    "scan_of_eight": (Recurrence(True), [(normal(3, 8, 19), normal(3, 19))]),
}


def assert_equal(found: Any, expected: Any) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_control_flow_equals_eager(name: str) -> None:
    model, calls = MODELS[name]
    fast = tilecast.compile(model.eval(), calls[0], cache=False)
    for inputs in calls:
        assert_equal(fast(*inputs), model(*inputs))


SLOW_STAGES = [pytest.param(stage, marks=pytest.mark.slow) for stage in ("import", "simplify")]


@pytest.mark.parametrize("stage", ["fuse", *SLOW_STAGES])
@pytest.mark.parametrize("name", MODELS)
def test_stages_keep_the_meaning(name: str, stage: str, lowered_at: Any) -> None:
    model, calls = MODELS[name]
    lowered = lowered_at(model.eval(), calls[0], stage)
    for inputs in calls:
        found = evaluate(lowered.module, lowered.ctx.weights, [x.numpy() for x in inputs])
        expected = torch.utils._pytree.tree_leaves(model.double()(*map(double, inputs)))
        model.float()
        for got, want in zip(found, expected, strict=True):
            torch.testing.assert_close(
                torch.as_tensor(got.copy()), want.detach(), rtol=1e-6, atol=1e-6, check_dtype=False
            )


def double(x: Tensor) -> Tensor:
    return x.double() if x.is_floating_point() else x


@pytest.fixture
def lowered_at() -> Any:
    from tilecast.compiler.job import model_job
    from tilecast.compiler.logging import Progress
    from tilecast.compiler.lowering import lower
    from tilecast.compiler.options import resolve_options

    def run(model: nn.Module, inputs: Sequence[Tensor], stage: str) -> Any:
        settings = resolve_options({"stop_after": stage})
        return lower(model_job(model, tuple(inputs), None, settings), Progress(False))

    return run


def test_programs_are_structured_and_weights_are_packed() -> None:
    model, calls = MODELS["layers"]
    text = tilecast.compile(model.eval(), calls[0], stop_after="emit", threads=1)["model.c"]
    assert re.search(r"for \(;;\) \{\n\s+model_while_loop_cond_graph_0\(.*\n\s+if \(!\*", text)
    assert re.search(r"if \(\*\w+\) \{\n\s+model_\w*true_graph_0\(.*\n\s+\} else \{", text)
    assert "layer_weight_packed = weights[" in text


def test_branches_share_the_arena() -> None:
    class Chains(nn.Module):
        def forward(self, x: Tensor, p: Tensor) -> Tensor:
            def chain(x: Tensor) -> Tensor:
                for _ in range(3):
                    x = (x @ x.T).softmax(-1) @ x
                return x

            return torch.cond(p, chain, lambda x: chain(x.flip(0)), (x,))

    x = normal(64, 64)
    both = tilecast.compile(Chains(), (x, TRUE), cache=False, verify=False)

    class Chain(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            for _ in range(3):
                x = (x @ x.T).softmax(-1) @ x
            return x

    one = tilecast.compile(Chain(), (x,), cache=False, verify=False).artifact.arena_bytes
    assert one <= both.artifact.arena_bytes <= 1.5 * one


def test_a_package_has_control_flow(tmp_path: Path) -> None:
    model, calls = MODELS["layers"]
    fast = tilecast.compile(model.eval(), calls[0], cache=False)
    package = fast.save(tmp_path / "package")
    subprocess.run(["make", "-C", str(package), "check"], check=True, capture_output=True)
    loaded = tilecast.load(package)
    for inputs in calls:
        assert_equal(loaded(*inputs), model(*inputs))


def test_what_is_not_supported_is_refused_in_one_message() -> None:
    class Counter(nn.Module):
        def forward(self, x: Tensor) -> Any:
            return while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, x * 2), (0, x))[0]

    class Spectrum(nn.Module):
        def forward(self, x: Tensor, p: Tensor) -> Tensor:
            return torch.cond(p, lambda x: torch.fft.rfft(x).abs(), lambda x: x[:, :17] + 0, (x,))

    with pytest.raises(UnsupportedOperatorError, match=r"aten\.fft_rfft"):
        tilecast.compile(Spectrum(), (X, TRUE))
    with pytest.raises(UnsupportedOperatorError, match="Python number that a loop carries"):
        tilecast.compile(Counter(), (X,))
    model, calls = MODELS["nested"]
    with pytest.raises(UnsupportedOperatorError, match="sm_80 does not support control flow yet"):
        tilecast.compile(model, calls[0], target="sm_80", stop_after="emit")
