"""uint8 tensors: stored as bytes, computed modulo 256, promoted and cast as torch does."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tilecast
import torch
import torch.nn.functional as F
from torch import Tensor, nn

Case = tuple[Callable[..., Any], tuple[Tensor, ...]]


def some_bytes(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape) + 1)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


FUNCTIONS: dict[str, Case] = {
    "arithmetic": (
        lambda x, y: (x + y, x - y, x * y, -x, x * 3 + y - 7, torch.add(x, y, alpha=5)),
        (some_bytes(7, 19), some_bytes(19)),
    ),
    "divisions": (
        lambda x, y: (
            x / y,
            x // y,
            x % y,
            torch.fmod(x, y),
            torch.div(x, 3, rounding_mode="trunc"),
        ),
        (some_bytes(5, 70), some_bytes(5, 70).clamp(1)),
    ),
    "numbers_wrap": (
        lambda x: (x > -1, x == -1, x + 300, x - 1, x.where(x > 100, 7), torch.full_like(x, 255)),
        (some_bytes(3, 33),),
    ),
    "comparisons": (
        lambda x, y: (x < y, x >= y, x > 127, torch.maximum(x, y), torch.minimum(x, y)),
        (some_bytes(4, 64), some_bytes(4, 64)),
    ),
    "bits": (
        lambda x, y: (x & y, x | y, x ^ y, ~x, x >> 1, x << 1, x.logical_not()),
        (some_bytes(130), some_bytes(130)),
    ),
    "clamped": (lambda x: (x.clamp(20, 200), x.abs(), x.sign(), x**2, x**7), (some_bytes(67),)),
    "promotion": (
        lambda x, y, z, w: (x + y, x + z, x * w, x + 1.5, x + True, x.bool(), x & y.bool()),
        (
            some_bytes(65),
            torch.arange(-32, 33, dtype=torch.int8),
            torch.arange(65),
            torch.linspace(-1, 1, 65),
        ),
    ),
    "casts": (
        lambda x, f, i: (
            *(x.to(t) for t in (torch.int8, torch.int16, torch.int32, torch.int64)),
            *(x.to(t) for t in (torch.float16, torch.bfloat16, torch.float32, torch.float64)),
            f.to(torch.uint8),
            i.to(torch.uint8),
            i.to(torch.int8).to(torch.uint8),
            (f > 9).to(torch.uint8),
        ),
        (some_bytes(3, 37), torch.linspace(0, 255.9, 100), torch.arange(-300, 300, 7)),
    ),
    "reductions": (
        lambda x: (
            *(x.sum(), x.sum(1), x.prod(1), x.amax(1), x.amin(0), x.any(1), x.all()),
            *(x.argmax(1), x.argmin(), x.float().mean(), x.sum(1, dtype=torch.uint8)),
            *(x.max(0).values, x.count_nonzero(1), x.cumsum(1), x.aminmax()),
        ),
        (some_bytes(9, 70),),
    ),
    "sorting": (
        lambda x: (x.sort(stable=True), x.sort(descending=True, stable=True), x.topk(3).values),
        (some_bytes(5, 40),),
    ),
    "lookups": (
        lambda x, i: (x[i], x.index_select(0, i), x.gather(0, i[:, None]), x.take(i), x.long()[i]),
        (some_bytes(10, 7), torch.tensor([1, 9, 0, 3])),
    ),
    "updates": (
        lambda x, i, y: (
            x.index_copy(0, i, y),
            x.index_add(0, i, y),
            x.scatter_add(0, i[:, None].expand(4, 7), y),
            x.scatter_reduce(0, i[:, None].expand(4, 7), y, "amax"),
            x.scatter_reduce(0, i[:, None].expand(4, 7), y, "amin", include_self=False),
            x.scatter_reduce(0, i[:, None].expand(4, 7), y, "prod"),
            x.index_put((i,), y, accumulate=True),
            x.masked_fill(x > 200, 9),
        ),
        (some_bytes(10, 7), torch.tensor([1, 9, 1, 3]), some_bytes(4, 7)),
    ),
    "layout": (
        lambda x: (
            *(x.T, x[:, ::2], torch.cat([x, x + 1], 1), F.pad(x, (1, 2), value=200), x.flip(0)),
            *(x.roll(1, 1), x.repeat(2, 1), torch.stack([x, x]), x.tril(), x.reshape(-1)[3:]),
        ),
        (some_bytes(6, 35),),
    ),
    "products": (lambda x, y: (x @ y, x[0] @ y[:, 0]), (some_bytes(5, 33), some_bytes(33, 18))),
    "created": (
        lambda x: (
            torch.arange(250, 256, dtype=torch.uint8) + x[0],
            torch.zeros(3, dtype=torch.uint8),
            torch.ones_like(x),
            x.new_full((2,), 254) + x[:2],
        ),
        (some_bytes(9),),
    ),
}


class Function(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Any:
        return self.function(*inputs)


class Gathered(nn.Module):
    """Every case as one model: what torch gives is a flat list."""

    def __init__(self, cases: list[Callable[..., Any]], counts: list[int]) -> None:
        super().__init__()
        self.cases, self.counts = cases, counts

    def forward(self, *inputs: Tensor) -> Any:
        results, first = [], 0
        for case, count in zip(self.cases, self.counts, strict=True):
            results.append(case(*inputs[first : first + count]))
            first += count
        return tuple(results)


def assert_equal(found: Any, expected: Any, name: str) -> None:
    from torch.utils._pytree import tree_leaves

    for number, (got, want) in enumerate(
        zip(tree_leaves(found), tree_leaves(expected), strict=True)
    ):
        message = f"{name}, result {number}"
        torch.testing.assert_close(got, want, msg=lambda m, t=message: f"{t}: {m}")


@pytest.mark.parametrize(
    "target", ["native", "c99", pytest.param("x86-64-v3", marks=pytest.mark.slow)]
)
def test_functions_of_bytes_equal_torch(target: str) -> None:
    cases = [case for case, _ in FUNCTIONS.values()]
    inputs = tuple(tensor for _, given in FUNCTIONS.values() for tensor in given)
    model = Gathered(cases, [len(given) for _, given in FUNCTIONS.values()])
    found = tilecast.compile(model, inputs, target=target, cache=False)(*inputs)
    for name, got, want in zip(FUNCTIONS, found, model(*inputs), strict=True):
        assert_equal(got, want, name)


def test_chains_wrap_after_every_operator() -> None:
    x = torch.arange(256, dtype=torch.uint8)
    model = Function(lambda x: ((x + 200) // 2, (x * 5) > 100, (-x) % 7, ~x >> 1))
    assert_equal(tilecast.compile(model, (x,), cache=False)(x), model(x), "chain")


def test_a_picture_is_normalized_in_one_pass_over_bytes(tmp_path: Path) -> None:
    class Normalize(nn.Module):
        def forward(self, picture: Tensor) -> Tensor:
            mean, scale = torch.tensor([0.4, 0.5, 0.6]), torch.tensor([0.2, 0.3, 0.25])
            return (picture.permute(2, 0, 1) / 255 - mean[:, None, None]) / scale[:, None, None]

    picture = some_bytes(30, 40, 3)
    fast = tilecast.compile(Normalize(), (picture,), cache=False)
    torch.testing.assert_close(fast(picture), Normalize()(picture))
    package = fast.save(tmp_path / "package")
    header = next((package / "include").glob("*.h")).read_text()
    assert "picture, U8, 30 x 40 x 3" in header
    sources = "".join(f.read_text() for f in (package / "src").glob("*.c"))
    assert re.search(r"const uint8_t \*", sources)
    assert_equal(tilecast.load(package)(picture), fast(picture), "loaded")
