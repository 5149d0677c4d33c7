"""precision="bf16": products of rounded operands, on machines with and without the instruction."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tilecast
import torch
from tilecast.compiler import target
from tilecast.compiler.target import resolve_target
from tilecast.compiler.verify.rounded_operands import rounded
from torch import Tensor, nn


class Layers(nn.Module):
    """Linear layers, attention, products of activations; 33 columns make no pairs."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(64, 64), nn.Linear(64, 64)
        self.down, self.last = nn.Linear(64, 33), nn.Linear(33, 20)

    def forward(self, x: Tensor) -> Tensor:
        heads = [f(x).view(2, 19, 4, 16).transpose(1, 2) for f in (self.query, self.key)]
        seen = (heads[0] @ heads[1].transpose(-1, -2)).softmax(-1)
        y = nn.functional.scaled_dot_product_attention(*heads, x.view(2, 4, 19, 16))
        y = (seen @ y).transpose(1, 2).reshape(2, 19, 64) + x
        return self.last(self.down(y))


class LongHeads(nn.Module):
    """Attention whose heads are long enough for tiles of a matrix unit."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.scaled_dot_product_attention(x, x, x)


@pytest.fixture
def model() -> Layers:
    torch.manual_seed(0)
    return Layers().eval()


PAIRS = ("pair.dot_add", "matrix.matmul")
X = torch.randn(2, 19, 64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "target",
    [
        "native",
        "x86-64-v4",
        pytest.param("x86-64-v3", marks=pytest.mark.slow),
        pytest.param("c99", marks=pytest.mark.slow),
    ],
)
def test_every_target_computes_products_of_rounded_operands(
    target: str, model: Layers, cache_folder: Path
) -> None:
    try:
        fast = tilecast.compile(model, (X,), target=target, precision="bf16")
    except tilecast.TilecastError as error:
        pytest.skip(str(error))
    error = (fast(X) - model(X)).norm() / model(X).norm()
    assert 1e-4 < error < 2e-2
    assert all(row.passed for row in fast.verify().results)
    pairs = {op for op in PAIRS if op in "".join(fast.artifact.ir.values())}
    assert bool(pairs) == (target != "c99")


@pytest.mark.isa("avx512")
def test_a_machine_with_a_matrix_unit_multiplies_tiles(
    model: Layers, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without flags that let the compiler use the unit, so that any machine runs the tiles."""
    machine = resolve_target("x86-64-v4")
    bf16 = {"amx_bf16", "amx_tile", "avx512_bf16"}
    features = tuple(sorted({*machine.features, *bf16}))
    with_unit = replace(machine, features=features)
    monkeypatch.setattr(target, "native_machine", lambda: with_unit)
    monkeypatch.setattr(target, "EXTENSIONS", {})
    with_long_heads = LongHeads().eval()
    fast = tilecast.compile(with_long_heads, (torch.randn(1, 2, 70, 64),), precision="bf16")
    assert "matrix.matmul" in "".join(fast.artifact.ir.values())
    assert all(row.passed for row in fast.verify().results)
    fast = tilecast.compile(model, (X,), precision="bf16")
    loops = "".join(fast.artifact.ir.values())
    assert loops.count("matrix.matmul") >= 3
    assert "_tile_dpbf16ps" in "".join(fast.sources.values())
    assert all(row.passed for row in fast.verify().results)


class Images(nn.Module):
    """Convolutions on blocks of channels, and attention between the positions of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.down = nn.Conv2d(4, 48, 3, 1, 1), nn.Conv2d(48, 32, 3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        rows = self.down(self.wide(x).relu()).flatten(2).transpose(1, 2)
        return nn.functional.scaled_dot_product_attention(rows, rows, rows)


def test_convolutions_and_attention_multiply_pairs(cache_folder: Path) -> None:
    """On this machine, whatever it has; bf16 rounds by 2^-9, twice per product, and three layers
    follow each other."""
    torch.manual_seed(0)
    model, x = Images().eval(), torch.randn(1, 4, 16, 16)
    fast = tilecast.compile(model, (x,), precision="bf16", convolutions="direct")
    with torch.no_grad():
        expected = model(x)
    assert (fast(x) - expected).norm() < 3 * 2 * 2**-9 * expected.norm()
    assert all(row.passed for row in fast.verify().results)


@pytest.mark.parametrize(("target", "count"), [("zen4", 4), ("x86-64-v4", 0)])
def test_machines_without_the_instruction_keep_f32(target: str, count: int) -> None:
    """Two convolutions, and both products of attention."""
    module: Any = tilecast.compile(
        Images().eval(),
        (torch.randn(1, 4, 16, 16),),
        target=target,
        precision="bf16",
        convolutions="direct",
        stop_after="schedule",
    )
    assert str(module).count("pair.dot") == count


def test_a_product_is_that_of_the_rounded_operands(cache_folder: Path) -> None:
    torch.manual_seed(0)
    layer, x = nn.Linear(32, 48).eval(), torch.randn(7, 32)
    exact = rounded(x).double() @ rounded(layer.weight).double().T + layer.bias.double()
    found = tilecast.compile(layer, (x,), precision="bf16")(x)
    torch.testing.assert_close(found.double(), exact, rtol=1e-6, atol=1e-6)


def test_weights_take_half_the_bytes(cache_folder: Path) -> None:
    layer, x = nn.Linear(128, 64, bias=False).eval(), torch.randn(4, 128)
    fast = tilecast.compile(layer, (x,), precision="bf16")
    assert sum(array.nbytes for array in fast.artifact.weights.values()) == 128 * 64 * 2


def test_a_portable_package_checks_every_level(cache_folder: Path, tmp_path: Path) -> None:
    layer, x = nn.Linear(32, 48).eval(), torch.randn(7, 32)
    fast = tilecast.compile(layer, (x,), precision="bf16", name="layer")
    folder = fast.save(tmp_path / "package", portable=True)
    subprocess.run(["make", "-C", str(folder), "check"], check=True, capture_output=True)


def test_a_wrong_program_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights that are off by a tenth are more than the precision explains."""
    from tilecast.passes.graph.lower_precision import Rounded

    def spoiled(self: Rounded, symbol: str) -> str:
        array = self.weights[symbol]
        return self.weights.add(f"{symbol}_bf16", (array * 1.1).astype("bfloat16"))

    layer, x = nn.Linear(32, 48).eval(), torch.randn(7, 32)
    monkeypatch.setattr(Rounded, "_symbol", spoiled)
    with pytest.raises(tilecast.VerifyFailure, match="output 0"):
        tilecast.compile(layer, (x,), precision="bf16", cache=False)
