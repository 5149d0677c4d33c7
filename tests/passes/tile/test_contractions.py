"""Contractions of models become tile programs that compute what eager PyTorch does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tilecast
import torch
from tilecast.dialects.reference.tile import dtype_of, run_program
from tilecast.dialects.tile import ops
from tilecast.dialects.tile.launch import LaunchOp
from tilecast.passes.tile import tile_programs
from tilecast.passes.tile.attention_program import AttentionPlan
from torch import nn
from xdsl.dialects.builtin import MemRefType, ModuleOp
from xdsl.dialects.func import FuncOp


class Function(nn.Module):
    """A function of tensors as a module."""

    def __init__(self, function: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.function(*inputs)


def heads(x: torch.Tensor) -> torch.Tensor:
    return x.view(2, 9, 3, 16).transpose(1, 2)


# name: function, shapes of its inputs
CASES: dict[str, tuple[Callable[..., torch.Tensor], tuple[tuple[int, ...], ...]]] = {
    "rows": (lambda x, w, b: torch.relu(x @ w.T + b), ((5, 33), (19, 33), (19,))),
    "one row": (lambda x, w: x @ w.T, ((1, 40), (70, 40))),
    "weight along N": (lambda x, w, b: x @ w + b, ((6, 20), (20, 24), (24,))),
    "both along": (lambda x, y: x.T @ y, ((20, 9), (20, 24))),
    "residual": (lambda x, w, r: r + torch.sigmoid(x @ w.T), ((7, 16), (12, 16), (7, 12))),
    "batch": (lambda x, y: x @ y, ((3, 7, 16), (3, 16, 12))),
    "scores": (lambda q, k: heads(q) @ heads(k).mT * 0.25, ((2, 9, 48), (2, 9, 48))),
    "values": (
        lambda p, v: (p @ heads(v)).transpose(1, 2).reshape(2, 9, 48),
        ((2, 3, 9, 9), (2, 9, 48)),
    ),
    "scale per row": (lambda x, w, s: (x @ w.T) * s[:, None], ((9, 16), (10, 16), (9,))),
    "convolution": (
        lambda x, w, b: torch.relu(nn.functional.conv2d(x, w, b, stride=2)),
        ((2, 3, 9, 9), (16, 3, 3, 3), (16,)),
    ),
}


def launches(module: ModuleOp) -> list[tuple[FuncOp, LaunchOp]]:
    functions = [op for op in module.ops if isinstance(op, FuncOp)]
    return [(f, op) for f in functions for op in f.body.walk() if isinstance(op, LaunchOp)]


def run_kernel(func: FuncOp, inputs: list[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    """A kernel of launches alone, which reads `inputs` in order; its result."""
    given = iter(inputs)
    arrays: dict[Any, np.ndarray[Any, Any]] = {}
    roles = [role.data for role in func.attributes["tilecast.roles"]]  # type: ignore[attr-defined]
    for argument, role in zip(func.body.block.args, roles, strict=True):
        assert isinstance(argument.type, MemRefType)
        dtype = dtype_of(argument.type.element_type)
        shape = argument.type.get_shape()
        if role == "in":
            arrays[argument] = next(given).reshape(shape).copy()
        elif role == "semaphores":
            arrays[argument] = np.zeros(shape, dtype)
        else:
            arrays[argument] = np.full(shape, np.nan, dtype)
    for op in func.body.block.ops:
        if isinstance(op, LaunchOp):
            run_program(op.program, [arrays[a] for a in op.arrays])
    return arrays[func.body.block.args[roles.index("out")]]


def check_programs(
    function: Callable[..., torch.Tensor], shapes: tuple[tuple[int, ...], ...], dtype: torch.dtype
) -> None:
    """The function is one kernel of one launch, and that computes it."""
    torch.manual_seed(0)
    inputs = tuple(torch.randn(shape).to(dtype) for shape in shapes)
    module = tilecast.compile(Function(function), inputs, target="sm_80", stop_after="schedule")
    ((func, launch),) = launches(module)
    launch.verify()
    result = run_kernel(func, [x.numpy() for x in inputs])
    expected = function(*(x.double() for x in inputs))
    tolerance = 1e-5 if dtype == torch.float32 else 4e-3
    np.testing.assert_allclose(
        result.astype(np.float64).reshape(expected.shape),
        expected.numpy(),
        rtol=tolerance,
        atol=tolerance * float(expected.abs().max()),
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=["f32", "f16"])
@pytest.mark.parametrize("name", CASES)
def test_contractions_compute_what_eager_does(name: str, dtype: torch.dtype) -> None:
    check_programs(*CASES[name], dtype)


STRIPES: dict[str, tuple[Callable[..., torch.Tensor], tuple[tuple[int, ...], ...]]] = {
    "rows": (lambda x, w, b: torch.relu(x @ w.T + b), ((3, 4000), (19, 4000), (19,))),
    "batch": (lambda x, y: x @ y, ((2, 3, 3000), (2, 3000, 17))),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=["f32", "f16"])
@pytest.mark.parametrize("name", STRIPES)
def test_blocks_share_the_steps_of_few_tiles(name: str, dtype: torch.dtype) -> None:
    function, shapes = STRIPES[name]
    inputs = tuple(torch.zeros(shape, dtype=dtype) for shape in shapes)
    module = tilecast.compile(Function(function), inputs, target="sm_80", stop_after="schedule")
    ((func, launch),) = launches(module)
    assert [role.data for role in func.attributes["tilecast.roles"]][-1] == "semaphores"
    assert any(isinstance(op, ops.LockOp) for op in launch.walk())
    check_programs(function, shapes, dtype)


def test_operands_of_two_types_are_multiplied_in_f32() -> None:
    inputs = (torch.randn(6, 16), torch.randn(10, 16).half())
    function = Function(lambda x, w: x @ w.float().T)
    module = tilecast.compile(function, inputs, target="sm_80", stop_after="schedule")
    ((_, launch),) = launches(module)
    dots = [op for op in launch.walk() if isinstance(op, ops.DotOp)]
    assert {str(ops.register_of(dot.lhs).element) for dot in dots} == {"f32"}


def test_attention_is_two_contractions_and_rows_between() -> None:
    function = Function(nn.functional.scaled_dot_product_attention)
    inputs = tuple(torch.randn(2, 3, 17, 16) for _ in range(3))
    module = tilecast.compile(function, inputs, target="sm_80", stop_after="schedule")
    found = [op for _, op in launches(module)]
    dots = [any(isinstance(inner, ops.DotOp) for inner in op.walk()) for op in found]
    assert dots == [True, False, True]
    assert not [op for op in module.ops if "tilecast.part_of" in op.attributes]


def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    y = nn.functional.scaled_dot_product_attention(heads(q), heads(k), heads(v))
    return y.transpose(1, 2).reshape(q.shape)


ATTENTION: dict[str, tuple[Callable[..., torch.Tensor], tuple[tuple[int, ...], ...]]] = {
    "heads": (attention, ((2, 9, 48),) * 3),
    "more keys than a block": (
        nn.functional.scaled_dot_product_attention,
        ((1, 2, 5, 24), (1, 2, 70, 24), (1, 2, 70, 16)),
    ),
    "a mask": (
        lambda q, k, v, m: nn.functional.scaled_dot_product_attention(q, k, v, m),
        ((1, 2, 17, 16), (1, 2, 33, 16), (1, 2, 33, 80), (17, 33)),
    ),
}


@pytest.mark.parametrize("name", ATTENTION)
def test_attention_is_one_program(name: str) -> None:
    check_programs(*ATTENTION[name], torch.float16)


@pytest.mark.parametrize("plan", [AttentionPlan(2, 3, 32), AttentionPlan(1, 2, 128)], ids=str)
def test_attention_under_other_plans(plan: AttentionPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tile_programs, "attention_plan", lambda attention, choice: plan)
    check_programs(*ATTENTION["more keys than a block"], torch.float16)


# name: function, shapes of its inputs
ROWS: dict[str, tuple[Callable[..., torch.Tensor], tuple[tuple[int, ...], ...]]] = {
    "softmax": (lambda x: torch.softmax(x * 3, -1), ((9, 37),)),
    "softmax of few columns": (lambda x: torch.softmax(x, -1), ((70, 8),)),
    "layer norm": (
        lambda x, w, b: nn.functional.layer_norm(x, (96,), w, b),
        ((2, 5, 96), (96,), (96,)),
    ),
    "rms norm": (lambda x, w: nn.functional.rms_norm(x, (40,), w), ((6, 40), (40,))),
    "sum": (lambda x: torch.relu(x).sum(1), ((4, 30),)),
    "longer than a warp": (lambda x: torch.softmax(x, -1), ((5, 261),)),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=["f32", "f16"])
@pytest.mark.parametrize("name", ROWS)
def test_rows_compute_what_eager_does(name: str, dtype: torch.dtype) -> None:
    check_programs(*ROWS[name], dtype)


def test_small_and_other_sums_stay_statements() -> None:
    for function, shapes in (
        (lambda x, y: x @ y.T, ((4, 3), (50, 3))),  # too little depth
        (lambda x: x.sum(0), ((4, 30),)),
        (lambda x: torch.cumsum(x, 1), ((4, 30),)),
    ):
        inputs = tuple(torch.randn(shape) for shape in shapes)
        module = tilecast.compile(Function(function), inputs, target="sm_80", stop_after="schedule")
        assert not launches(module)


@pytest.mark.parametrize(("target", "blocks"), [("sm_80:12", 12), ("sm_90:24", 24)])
def test_stripes_are_for_the_multiprocessors_of_the_target(target: str, blocks: int) -> None:
    inputs = torch.randn(3, 30000), torch.randn(33, 30000)
    module = tilecast.compile(
        Function(lambda x, w: x @ w.T), inputs, target=target, stop_after="schedule"
    )
    [(_, launch)] = launches(module)
    assert launch.program.grid.data.results[0].value == blocks
