"""Formats within a budget: optimal by brute force, better than one format for all, stored."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import tilecast
import torch
from click.testing import CliRunner
from tilecast.compiler.cli import main
from tilecast.compiler.frontend.export import load_exported
from tilecast.compiler.quantize import quantize, quantized_weights
from tilecast.compiler.quantize.allocation import Allocation, solve
from tilecast.compiler.quantize.model import with_tensors
from tilecast.compiler.quantize.storage import decoded, encoded
from tilecast.compiler.target import native_machine
from tilecast.costmodel.speeds import estimated_speeds
from tilecast.dialects.errors import InvalidInputError, OptionError


class Unequal(torch.nn.Module):
    """Two layers of one size, of which the second hardly changes the result."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.large, self.small = torch.nn.Linear(32, 48), torch.nn.Linear(32, 48)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.large(x) + 0.03 * self.small(x)


def network() -> torch.nn.Module:
    return Unequal().eval()


def samples(seed: int) -> list[tuple[torch.Tensor, ...]]:
    generator = torch.Generator().manual_seed(seed)
    return [(torch.randn(16, 32, generator=generator),) for _ in range(4)]


@pytest.fixture(scope="module")
def allocation() -> Allocation:
    return Allocation(
        network(),
        samples(1),
        estimated_speeds(native_machine()),
        candidates=("u2:g16", "u4:g16", "u6:g32", "u8:g32"),
    )


@pytest.mark.parametrize("seed", range(5))
def test_the_program_finds_the_best_choice(seed: int) -> None:
    rng = np.random.default_rng(seed)
    losses, cost = rng.random((5, 4)), rng.random((5, 4)) + 0.1
    budget = float(np.quantile(cost, 0.4) * 5)
    picks = solve(losses, cost, budget)
    rows = range(5)
    feasible = [
        sum(losses[k, p] for k, p in zip(rows, choice, strict=True))
        for choice in product(range(4), repeat=5)
        if sum(cost[k, p] for k, p in zip(rows, choice, strict=True)) <= budget
    ]
    assert losses[rows, picks].sum() == pytest.approx(min(feasible))
    assert cost[rows, picks].sum() <= budget * (1 + 1e-9)


def test_a_mixed_choice_beats_one_format_of_its_size(allocation: Allocation) -> None:
    model = network()
    uniform = allocation.at([1, 1])
    mixed = allocation.choose(uniform.bits, "bits")
    assert mixed.bits <= uniform.bits * (1 + 1e-9)
    errors = []
    for choice in (uniform, mixed):
        found = with_tensors(model, allocation.tensors_of(choice))
        with torch.no_grad():
            difference = [(found(*x) - model(*x)).square().sum() for x in samples(2)]
        errors.append(float(sum(difference)))
    assert errors[1] < 0.3 * errors[0]


def test_the_front_falls(allocation: Allocation) -> None:
    for unit in ("bits", "bytes", "seconds"):
        front = allocation.front(unit)
        assert len(front) > 2
        assert [p.error for p in front] == sorted((p.error for p in front), reverse=True)


def test_the_model_is_left_as_it_was() -> None:
    model = network()
    before = [p.clone() for p in model.parameters()]
    Allocation(model, samples(1), estimated_speeds(native_machine()), candidates=("u2:g16",))
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_a_budget_below_the_smallest_format(allocation: Allocation) -> None:
    with pytest.raises(OptionError, match=r"already need 3\.\d+"):
        allocation.choose(1.0, "bits")


def test_codes_survive_storage() -> None:
    for spec in ("u3:g16", "nf4:g32", "i4:g16:zf16", "e2m1:mx", "kmeans3:tensor"):
        tensors = quantized_weights(quantize(network(), spec))
        back = decoded(encoded(tensors))
        assert back.keys() == tensors.keys()
        for name, tensor in tensors.items():
            assert back[name].format == tensor.format
            np.testing.assert_array_equal(back[name].dequantize(), tensor.dequantize())


def test_damaged_codes_are_refused() -> None:
    text = encoded(quantized_weights(quantize(network(), "u3:g16")))
    for damaged in (text[:-8], "?" + text, text[:400] + "AAAA" + text[404:], "gASVpickle"):
        with pytest.raises(InvalidInputError, match="damaged"):
            decoded(damaged)


MODULE = """\
import torch
def model():
    torch.manual_seed(0)
    layers = torch.nn.Linear(32, 48), torch.nn.ReLU(), torch.nn.Linear(48, 8)
    return torch.nn.Sequential(*layers).eval(), (torch.ones(2, 32),)
def data():
    return [(torch.randn(2, 32),) for _ in range(3)]
"""


def test_the_command_writes_a_program_that_compiles_to_its_codes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("TILECAST_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "allocated_model.py").write_text(MODULE)
    arguments = ["quantize", "allocated_model:model", "--budget", "4.5bits"]
    arguments += ["--calibration", "allocated_model:data", "-o", "q.pt2"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "choice" in result.output
    program = load_exported(tmp_path / "q.pt2")
    assert set(quantized_weights(program)) == {"0.weight", "2.weight"}
    fast = tilecast.compile(program, (torch.ones(2, 32),))
    assert any("codes" in name for name in fast.artifact.weights)


def test_the_command_takes_the_steps_around_rounding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "allocated_model.py").write_text(MODULE)
    arguments = ["quantize", "allocated_model:model", "--weights", "u4", "--low-rank", "2"]
    result = CliRunner().invoke(main, [*arguments, "-o", "q.pt2"])
    assert result.exit_code == 0, result.output
    matrices = [w for w in load_exported(tmp_path / "q.pt2").state_dict.values() if w.ndim == 2]
    assert sum(min(w.shape) == 2 for w in matrices) == 4  # two factors for each layer


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["m:f", "--budget", "4", "--size", "1MB"], 2, "give one of"),
        (["m:f"], 2, "give one of"),
        (["m:f", "--budget", "4parsecs"], 1, "expected a positive number"),
        (["m:f", "--weights", "u4", "-o", "x.bin"], 2, "ends in .pt2"),
        (["m:f", "--budget", "4bits", "--rotate", "--low-rank", "2"], 2, "--rotate, --low-rank"),
    ],
)
def test_command_errors(arguments: list[str], status: int, message: str) -> None:
    result = CliRunner().invoke(main, ["quantize", *arguments])
    assert result.exit_code == status
    assert message in result.output
