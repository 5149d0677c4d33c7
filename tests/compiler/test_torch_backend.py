"""The torch.compile backend: options, fallback, freezing and shapes, and results through dynamo."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from tilecast.compiler import driver
from tilecast.compiler.torch_backend import MAX_REFREEZES, backend, reset
from tilecast.dialects.errors import OptionError, UnsupportedOperatorError

Program = Callable[..., Any]


@pytest.fixture(autouse=True)
def fresh_dynamo() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[torch.nn.Module]:
    """Replace the compiler by one that only records what it is given; policy is tested alone."""
    modules: list[torch.nn.Module] = []

    def record(module: torch.nn.Module, inputs: tuple[Any, ...], **options: Any) -> Program:
        program = torch.export.export(module, inputs)  # as the driver does
        modules.append(module)
        return program.module()

    monkeypatch.setattr(driver, "compile", record)
    return modules


def mlp() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(6, 5), torch.nn.BatchNorm1d(5), torch.nn.GELU(), torch.nn.Linear(5, 3)
    ).eval()


def test_the_backend_is_found_by_name() -> None:
    assert "tilecast" in torch._dynamo.list_backends()


def test_unknown_options_are_refused_with_the_list() -> None:
    graph = torch.fx.symbolic_trace(torch.nn.Identity())
    with pytest.raises(OptionError, match=r"'treads'.*did you mean 'threads'"):
        backend(graph, [], options={"treads": 1})
    with pytest.raises(OptionError, match="'level'; it takes mode, options, name"):
        backend(graph, [], level=3)


def test_mode_and_name_are_accepted(compiled: list[torch.nn.Module]) -> None:
    graph = torch.fx.symbolic_trace(torch.nn.ReLU())
    x = torch.tensor([-1.0, 2.0])
    program = backend(graph, [x], mode="reduce-overhead", name="graph", options={"threads": 1})
    assert program(x)[0].tolist() == [0.0, 2.0]
    assert len(compiled) == 1


def test_parameters_are_frozen_and_not_inputs(compiled: list[torch.nn.Module]) -> None:
    model, x = mlp(), torch.randn(4, 6)
    fast = torch.compile(model, backend="tilecast")
    with torch.no_grad():
        torch.testing.assert_close(fast(x), model(x))
    [module] = compiled
    sizes = {tuple(buffer.shape) for buffer in module.buffers()}
    assert {(5, 6), (3, 5)} <= sizes


def test_an_update_in_place_is_noticed(compiled: list[torch.nn.Module]) -> None:
    model, x = mlp(), torch.randn(4, 6)
    fast = torch.compile(model, backend="tilecast")
    with torch.no_grad():
        fast(x)
        model[0].weight.mul_(2)
        torch.testing.assert_close(fast(x), model(x))
    assert len(compiled) == 2


def test_changing_parameters_end_in_eager(
    compiled: list[torch.nn.Module], capsys: pytest.CaptureFixture[str]
) -> None:
    model, x = mlp(), torch.randn(4, 6)
    fast = torch.compile(model, backend="tilecast")
    with torch.no_grad():
        for _ in range(MAX_REFREEZES + 3):
            torch.testing.assert_close(fast(x), model(x))
            model[0].weight.add_(0.5)
    assert len(compiled) == 1 + MAX_REFREEZES
    assert capsys.readouterr().err.count("parameters keep changing") == 1


def test_forward_and_backward_graphs_are_compiled(
    compiled: list[torch.nn.Module], capsys: pytest.CaptureFixture[str]
) -> None:
    x = torch.randn(4, 6)
    models = [mlp(), mlp()]
    torch.compile(models[0], backend="tilecast")(x).square().sum().backward()
    models[1](x).square().sum().backward()
    for found, expected in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(found.grad, expected.grad)
    assert len(compiled) == 2
    assert not any(module.state_dict() for module in compiled)  # parameters are inputs
    assert "eagerly" not in capsys.readouterr().err


def test_gradients_of_a_graph_that_is_refused_are_those_of_eager(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: Any, **__: Any) -> Program:
        raise UnsupportedOperatorError("aten.unheard_of")

    monkeypatch.setattr(driver, "compile", refuse)
    model, x = mlp(), torch.randn(4, 6)
    fast = torch.compile(model, backend="tilecast")
    fast(x).sum().backward()
    [gradient] = torch.autograd.grad(model(x).sum(), model[0].weight)
    torch.testing.assert_close(model[0].weight.grad, gradient)
    assert capsys.readouterr().err.count("eagerly") == 2  # forward and backward


def test_attention_in_training_has_gradients(compiled: list[torch.nn.Module]) -> None:
    q, k, v = (torch.randn(1, 2, 5, 4, requires_grad=True) for _ in range(3))
    fast = torch.compile(torch.nn.functional.scaled_dot_product_attention, backend="tilecast")
    found = torch.autograd.grad(fast(q, k, v, is_causal=True).square().sum(), [q, k, v])
    plain = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    expected = torch.autograd.grad(plain.square().sum(), [q, k, v])
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    assert len(compiled) == 2


def test_a_new_shape_is_compiled_again(compiled: list[torch.nn.Module]) -> None:
    model = mlp()
    fast = torch.compile(model, backend="tilecast", dynamic=True)
    with torch.no_grad():
        for rows in (4, 7, 4, 7):
            x = torch.randn(rows, 6)
            torch.testing.assert_close(fast(x), model(x))
    assert len(compiled) == 2


def test_what_cannot_be_compiled_runs_eagerly_with_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: Any, **__: Any) -> Program:
        raise UnsupportedOperatorError("aten.unheard_of\nsecond line")

    monkeypatch.setattr(driver, "compile", refuse)
    model, x = mlp(), torch.randn(4, 6)
    fast = torch.compile(model, backend="tilecast")
    with torch.no_grad():
        for _ in range(3):
            torch.testing.assert_close(fast(x), model(x))
    lines = [line for line in capsys.readouterr().err.splitlines() if "eagerly" in line]
    assert len(lines) == 1
    assert "aten.unheard_of" in lines[0]


def test_reset_forgets_programs(compiled: list[torch.nn.Module]) -> None:
    model, x = mlp(), torch.randn(4, 6)
    fast = torch.compile(model, backend="tilecast")
    with torch.no_grad():
        fast(x)
        reset()
        fast(x)
    assert len(compiled) == 2
    assert backend.reset is reset  # type: ignore[attr-defined]


def test_the_real_compiler_behind_dynamo(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TILECAST_CACHE_DIR", str(tmp_path))
    model, x = mlp(), torch.randn(4, 6)
    fast = torch.compile(model, backend="tilecast")
    with torch.no_grad():
        torch.testing.assert_close(fast(x), model(x), rtol=1e-5, atol=1e-6)
    assert "eagerly" not in capsys.readouterr().err
