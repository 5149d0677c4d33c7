"""One compiled model for all sizes inside the bounds equals PyTorch at each of them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tilecast
import torch
import torch.nn.functional as F
from tilecast.dialects.errors import InvalidInputError, OptionError, UnsupportedOperatorError
from torch import Tensor, nn
from torch.export import Dim
from torch.utils._pytree import tree_leaves

BATCH, SEQ = Dim("batch", min=1, max=4), Dim("seq", min=1, max=40)


class Of(nn.Module):
    """A function of tensors and of the modules that it uses."""

    def __init__(self, function: Callable[..., Any], *parts: nn.Module) -> None:
        super().__init__()
        self.function, self.parts = function, nn.ModuleList(parts)

    def forward(self, *args: Tensor) -> Any:
        return self.function(*args, *self.parts)


def block(x: Tensor, keep: Tensor, norm: nn.Module, qkv: nn.Module, out: nn.Module) -> Any:
    """A layer with attention; views take the sizes apart and put them together again."""
    batch, seq, width = x.shape
    q, k, v = (
        part.view(batch, seq, 2, width // 2).transpose(1, 2) for part in qkv(norm(x)).chunk(3, -1)
    )
    mask = torch.tril(torch.ones(seq, seq, dtype=torch.bool)) & keep[:, None, None, :]
    mixed = F.scaled_dot_product_attention(q, k, v, mask)
    x = x + out(mixed.transpose(1, 2).reshape(batch, seq, width))
    positions = torch.arange(seq, dtype=torch.float32) / seq
    return torch.cat([x, x * positions[:, None]], 1), x.mean(1), x[:, -1], x.view(-1, width)


def test_a_layer_with_attention_at_many_sizes() -> None:
    torch.manual_seed(0)
    model = Of(block, nn.LayerNorm(24), nn.Linear(24, 72), nn.Linear(24, 24)).eval()
    inputs = torch.randn(2, 5, 24), torch.ones(2, 5, dtype=torch.bool)
    dims = {0: BATCH, 1: SEQ}
    compiled = tilecast.compile(model, inputs, dynamic_shapes=((dims, dims),))
    for batch, seq in ((1, 1), (4, 40), (3, 17), (2, 5), (1, 33)):
        x, keep = torch.randn(batch, seq, 24), torch.rand(batch, seq) < 0.8
        keep[:, 0] = True
        for found, wanted in zip(compiled(x, keep), model(x, keep), strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_images_in_any_number_and_of_any_and_derived_extents() -> None:
    model = Of(
        lambda x, a, b, c: c(F.relu(b(F.max_pool2d(F.relu(a(x)), 2))).mean((2, 3))),
        nn.Conv2d(3, 16, 3, padding=1),
        nn.Conv2d(16, 16, 3, padding=1, stride=2),
        nn.Linear(16, 5),
    ).eval()
    dims = {0: BATCH, 2: 4 * Dim("rows", min=2, max=5), 3: Dim("columns", min=6, max=15)}
    compiled = tilecast.compile(model, (torch.randn(2, 3, 12, 10),), dynamic_shapes=((dims,),))
    for batch, rows, columns in ((1, 8, 6), (4, 20, 15), (3, 16, 9)):
        x = torch.randn(batch, 3, rows, columns)
        torch.testing.assert_close(compiled(x), model(x), rtol=1e-4, atol=1e-5)
    with pytest.raises(InvalidInputError, match=r"expected 4\*rows .* found 10"):
        compiled(torch.randn(1, 3, 10, 10))


class Pyramid(nn.Module):
    """Strides, pools, a sum of two ways, and back to twice the extents."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 16, 7, 2, 3, bias=False), nn.BatchNorm2d(16)
        self.inner, self.down = nn.Conv2d(16, 16, 3, 1, 1), nn.Conv2d(16, 32, 3, 2, 1)
        self.short = nn.Conv2d(16, 32, 1, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = F.max_pool2d(F.relu(self.norm(self.stem(x))), 3, 2, 1)
        x = x + F.relu(self.inner(x))
        x = F.relu(self.down(x) + self.short(x))
        return F.adaptive_avg_pool2d(x, 1).flatten(1), F.interpolate(x, scale_factor=2.0)


@pytest.mark.slow
def test_images_of_any_number_height_and_width() -> None:
    model = Pyramid().eval()
    dims = {0: BATCH, 2: Dim("rows", min=17, max=41), 3: 8 * Dim("columns", min=1, max=6)}
    compiled = tilecast.compile(model, (torch.randn(2, 3, 24, 16),), dynamic_shapes=(dims,))
    for batch, rows, columns in ((1, 17, 16), (4, 41, 48), (3, 30, 16)):
        x = torch.randn(batch, 3, rows, columns)
        for found, wanted in zip(compiled(x), model(x), strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_sizes_are_checked_against_bounds_and_each_other(tmp_path: Path) -> None:
    model = Of(lambda x, y: (x + 1, x[:, :1] * y))
    inputs = torch.randn(3, 8), torch.randn(3, 5)
    compiled = tilecast.compile(model, inputs, dynamic_shapes=(({0: BATCH}, {0: BATCH, 1: SEQ}),))
    with pytest.raises(InvalidInputError, match=r"1 <= batch <= 4.* found 5"):
        compiled(torch.randn(5, 8), torch.randn(5, 5))
    with pytest.raises(InvalidInputError, match=r"expected batch \(batch = 3\).* found 2"):
        compiled(torch.randn(3, 8), torch.randn(2, 5))
    with pytest.raises(InvalidInputError, match="expected 8 elements along dimension 1"):
        compiled(torch.randn(3, 9), torch.randn(3, 5))
    package = compiled.save(tmp_path / "sized")
    done = subprocess.run(["make", "-C", package, "check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    loaded = tilecast.load(package)
    x, y = torch.randn(4, 8), torch.randn(4, 40)
    for found, wanted in zip(loaded(x, y), compiled(x, y), strict=True):
        assert torch.equal(found, wanted)
    with pytest.raises(InvalidInputError, match="found 5"):
        loaded(torch.randn(5, 8), torch.randn(5, 5))


def data_dependent(x: Tensor, at: Tensor, table: Tensor, lstm: nn.Module) -> Any:
    """Sorts of whole and of chosen elements, updates in order, searches, a recurrent layer."""
    values, order = torch.sort(x, dim=1, stable=True)
    sums = torch.zeros_like(x).scatter_add(1, at, x)
    return (
        (values, order, x.median(1)[0], torch.topk(x, 1, 0)[1]),
        (sums, table.index_put((at[0],), x[0])),
        torch.searchsorted(values, x),
        lstm(x[:, None, :1].expand(-1, 3, 8))[0],
    )


@pytest.mark.parametrize("longest", [14, pytest.param(600, marks=pytest.mark.slow)])
def test_sorting_scattering_searching_and_recurrent_layers(longest: int) -> None:
    torch.manual_seed(0)
    model = Of(data_dependent, nn.LSTM(8, 12, batch_first=True)).eval()
    dims = {0: BATCH, 1: Dim("seq", min=1, max=longest)}

    def inputs(batch: int, seq: int) -> tuple[Tensor, ...]:
        return torch.randn(batch, seq), torch.randint(0, seq, (batch, seq)), torch.randn(longest)

    compiled = tilecast.compile(model, inputs(3, 7), dynamic_shapes=((dims, dims, {}),))
    for batch, seq in ((1, 1), (4, longest), (3, longest // 2 + 1), (2, 5)):
        given = inputs(batch, seq)
        if seq > 1:
            given[1][0] = torch.randperm(seq)  # which of several updates stays is left open
        found, wanted = tree_leaves(compiled(*given)), tree_leaves(model(*given))
        for one, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


class Named(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return F.adaptive_avg_pool1d(x, 3).sum() + y


def test_what_needs_numbers_is_refused_before_anything_is_built() -> None:
    inputs = torch.randn(3, 8), torch.randn(3)
    with pytest.raises(UnsupportedOperatorError, match=r"these dynamic sizes: it needs"):
        tilecast.compile(Named(), inputs, dynamic_shapes="x: -, n=2..9")
    with pytest.raises(InvalidInputError, match="no upper bound"):
        tilecast.compile(Named(), inputs, dynamic_shapes=({1: Dim("n", min=2)}, None))
    with pytest.raises(OptionError, match="no argument 'z'"):
        tilecast.compile(Named(), inputs, dynamic_shapes="z: n=2..9")
    with pytest.raises(OptionError, match=r"NAME=LOW\.\.HIGH"):
        tilecast.compile(Named(), inputs, dynamic_shapes="x: n=2")
    exported = torch.export.export(Named(), inputs)
    with pytest.raises(OptionError, match="has its own"):
        tilecast.compile(exported, dynamic_shapes="x: n=2..9")
    linear = nn.Linear(8, 8)
    with pytest.raises(OptionError, match="few bits need fixed shapes"):
        tilecast.compile(linear, (inputs[0],), dynamic_shapes="input: n=1..9", weights="u4:g8")


class Hidden(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        found: Tensor = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
        return found


def small_model(name: str, attention: str) -> nn.Module:
    transformers = pytest.importorskip("transformers")
    if name == "bert":
        config = transformers.BertConfig(
            num_hidden_layers=2,
            hidden_size=96,
            num_attention_heads=4,
            intermediate_size=160,
            vocab_size=211,
            attn_implementation=attention,
        )
        return Hidden(transformers.BertModel(config, add_pooling_layer=False)).eval()
    config = transformers.GPT2Config(
        n_layer=2,
        n_embd=96,
        n_head=4,
        vocab_size=211,
        use_cache=False,
        attn_implementation=attention,
    )
    return Hidden(transformers.GPT2Model(config)).eval()


@pytest.mark.slow
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("name", ["bert", "gpt2"])
def test_transformers_at_twenty_sizes(name: str, attention: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = small_model(name, attention)
    inputs = torch.randint(0, 211, (3, 17)), torch.ones(3, 17, dtype=torch.long)
    dims = "ids: batch=1..8, seq=1..256; mask: batch=1..8, seq=1..256"
    compiled = tilecast.compile(model, inputs, dynamic_shapes=dims, name=name)
    for _ in range(20):
        batch, seq = int(torch.randint(1, 9, ())), int(torch.randint(1, 257, ()))
        ids, mask = torch.randint(0, 211, (batch, seq)), torch.ones(batch, seq, dtype=torch.long)
        mask[0, max(1, seq // 2) :] = 0
        with torch.no_grad():
            wanted = model(ids, mask)
        torch.testing.assert_close(compiled(ids, mask), wanted, rtol=1e-3, atol=1e-4)
    package = compiled.save(tmp_path / name)
    done = subprocess.run(["make", "-C", package, "check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
