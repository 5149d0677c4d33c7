"""`torch.compile(model, backend="tilecast")` with the real compiler behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from tilecast.compiler import driver
from torch import Tensor, nn


@pytest.fixture(autouse=True)
def fresh_dynamo() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shape of the first input of every compilation, in order."""
    shapes: list[tuple[int, ...]] = []
    compile_model = driver.compile

    def counted(module: nn.Module, inputs: tuple[Tensor, ...], **options: Any) -> Any:
        shapes.append(tuple(inputs[0].shape))
        return compile_model(module, inputs, **options)

    monkeypatch.setattr(driver, "compile", counted)
    return shapes


def mlp() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Linear(12, 33), nn.GELU(), nn.LayerNorm(33), nn.Linear(33, 5), nn.Softmax(-1)
    ).eval()


class Breaks(nn.Module):
    """Prints in the middle: two graphs."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = mlp(), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x)
        torch._dynamo.graph_break()
        return self.second(hidden).relu()


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_mlp(compilations: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    model, x = mlp(), torch.randn(4, 12)
    fast = torch.compile(model, backend="tilecast")
    with torch.no_grad():
        for _ in range(3):
            close(fast(x), model(x))
    assert compilations == [(4, 12)]
    assert "eagerly" not in capsys.readouterr().err


def test_graph_break_gives_two_programs(compilations: list[Any]) -> None:
    model, x = Breaks().eval(), torch.randn(4, 12)
    fast = torch.compile(model, backend="tilecast")
    with torch.no_grad():
        close(fast(x), model(x))
        close(fast(x * 2), model(x * 2))
    assert compilations == [(4, 12), (4, 5)]


@pytest.mark.parametrize("dynamic", [None, False, True])
def test_another_shape_is_compiled_once(compilations: list[Any], dynamic: bool | None) -> None:
    model = mlp()
    fast = torch.compile(model, backend="tilecast", dynamic=dynamic)
    with torch.no_grad():
        for rows in (4, 7, 4, 7, 4):
            x = torch.randn(rows, 12)
            close(fast(x), model(x))
    assert sorted(set(compilations)) == [(4, 12), (7, 12)]
    assert len(compilations) <= 3  # dynamo traces the first shape again where dims become dynamic


def check_training(
    make: Callable[[], nn.Module], x: Tensor, target: Tensor, loss_of: Callable[..., Tensor]
) -> None:
    """Losses, parameters and buffers after some steps are those of eager training."""
    models = []
    for _ in range(2):
        torch.manual_seed(3)
        models.append(make().train())
    steps = [models[0], torch.compile(models[1], backend="tilecast")]
    losses: list[list[float]] = [[], []]
    for k, model in enumerate(models):
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        for _ in range(3):
            optimizer.zero_grad()
            loss = loss_of(steps[k](x), target)
            loss.backward()
            optimizer.step()
            losses[k].append(loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0][-1] < losses[0][0]
    eager, compiled = (model.state_dict() for model in models)
    for name, value in eager.items():
        torch.testing.assert_close(compiled[name], value, rtol=1e-4, atol=1e-5)


def test_training_steps_equal_eager(
    compilations: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    def make() -> nn.Module:
        return nn.Sequential(nn.Linear(12, 8), nn.GELU(), nn.Linear(8, 5))

    check_training(make, torch.randn(8, 12), torch.rand(8, 5), nn.functional.mse_loss)
    assert len(compilations) == 2  # forward and backward
    assert "eagerly" not in capsys.readouterr().err


@pytest.mark.slow
def test_training_of_convolutions(capsys: pytest.CaptureFixture[str]) -> None:
    def make() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 6, 3, stride=2, bias=False),
            nn.SiLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )

    check_training(make, torch.randn(2, 3, 13, 12), torch.rand(2, 6), nn.functional.mse_loss)
    assert "eagerly" not in capsys.readouterr().err


class Tagger(nn.Module):
    """A token, a layer of a transformer, a score per token and class."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(31, 16)
        self.layer = nn.TransformerEncoderLayer(16, 4, 24, dropout=0.0, batch_first=True)
        self.score = nn.Linear(16, 31)

    def forward(self, ids: Tensor) -> Tensor:
        scores: Tensor = self.score(self.layer(self.embed(ids)))
        return scores.transpose(1, 2)


@pytest.mark.slow
def test_training_of_a_transformer(capsys: pytest.CaptureFixture[str]) -> None:
    ids, target = torch.randint(0, 31, (2, 7)), torch.randint(0, 31, (2, 7))
    check_training(Tagger, ids, target, nn.functional.cross_entropy)
    assert "eagerly" not in capsys.readouterr().err


def test_inference_after_training_sees_the_new_weights(compilations: list[Any]) -> None:
    model, x = mlp(), torch.randn(4, 12)
    fast = torch.compile(model, backend="tilecast")
    with torch.no_grad():
        close(fast(x), model(x))
        model[0].weight += 0.5
        close(fast(x), model(x))
    assert len(compilations) == 2


def test_several_results_inputs_and_python_values(compilations: list[Any]) -> None:
    def function(x: Tensor, y: Tensor, k: int) -> dict[str, Any]:
        return {"sum": x + y * k, "pair": (x.sum(), "text"), "shape": x.shape[0], "same": x}

    fast = torch.compile(function, backend="tilecast")
    x, y = torch.randn(3, 5), torch.randn(5)
    found, expected = fast(x, y, 2), function(x, y, 2)
    close(found["sum"], expected["sum"])
    close(found["pair"][0], expected["pair"][0])
    assert found["pair"][1] == "text"
    assert found["shape"] == 3
    assert found["same"] is x
    assert compilations


def test_an_operator_without_rule_runs_eagerly(capsys: pytest.CaptureFixture[str]) -> None:
    fast = torch.compile(lambda x: torch.linalg.svdvals(x) * 2, backend="tilecast")
    x = torch.randn(3, 5)
    close(fast(x), torch.linalg.svdvals(x) * 2)
    assert "eagerly" in capsys.readouterr().err


def test_options_reach_the_compiler_and_unknown_ones_are_refused() -> None:
    x = torch.randn(3, 5)
    fast = torch.compile(torch.tanh, backend="tilecast", options={"threads": 1, "target": "c99"})
    close(fast(x), x.tanh())
    torch.compiler.reset()
    wrong = torch.compile(torch.tanh, backend="tilecast", options={"treads": 1})
    with pytest.raises(Exception, match=r"'treads'.*did you mean 'threads'"):
        wrong(x)
