"""Pools with positions, resizing, distances, bags and slice updates: imported, they equal torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tilecast.compiler.frontend.export import export_model
from tilecast.compiler.frontend.program import import_program
from tilecast.dialects.errors import UnsupportedOperatorError
from tilecast.dialects.graph import PoolOp
from tilecast.dialects.reference.graph import evaluate
from torch import Tensor, nn

Case = tuple[Callable[..., Any], tuple[Tensor, ...]]


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape) + 1))


PLANE = normal(2, 3, 11, 7)
SPECIAL = torch.tensor([1.5, -2.0, 0.0, -0.0, float("inf"), -float("inf"), float("nan"), 3.0])
IDS = torch.tensor([1, 0, 4, 4, 2, 3, 1])
OFFSETS = torch.tensor([0, 2, 2, 5])

CASES: dict[str, Case] = {
    "max_pool_positions": (
        lambda x: F.max_pool2d(x, (3, 2), (2, 1), (1, 0), return_indices=True),
        (PLANE,),
    ),
    "max_pool_dilated_positions": (
        lambda x: F.max_pool1d(x[0], 2, 1, 0, 3, return_indices=True),
        (PLANE,),
    ),
    "adaptive_average": (lambda x: F.adaptive_avg_pool2d(x, (4, 3)), (PLANE,)),
    "adaptive_average_grows": (lambda x: F.adaptive_avg_pool2d(x, (13, 5)), (PLANE,)),
    "adaptive_maximum": (lambda x: F.adaptive_max_pool2d(x, (4, 3)), (PLANE,)),
    "adaptive_positions": (
        lambda x: F.adaptive_max_pool1d(x[0, :, :10, 0], 5, return_indices=True),
        (PLANE,),
    ),
    "nearest": (lambda x: F.interpolate(x, (5, 9)), (PLANE,)),
    "nearest_scaled": (lambda x: F.interpolate(x, scale_factor=1.7), (PLANE,)),
    "nearest_whole": (lambda x: F.interpolate(x, (22, 7)), (PLANE,)),
    "area": (lambda x: F.interpolate(x, (4, 9), mode="area"), (PLANE,)),
    **{
        f"cdist_{p}": (lambda x, y, p=p: torch.cdist(x, y, p), (normal(2, 5, 3), normal(4, 3)))
        for p in (0.0, 1.0, 2.0, 3.0, float("inf"))
    },
    "pdist": (lambda x: F.pdist(x), (normal(6, 4),)),
    **{
        f"bag_{mode}": (
            lambda i, o, w, mode=mode: F.embedding_bag(i, w, o, mode=mode),
            (IDS, OFFSETS, normal(5, 3)),
        )
        for mode in ("sum", "mean", "max")
    },
    "bag_padding": (
        lambda i, o, w: F.embedding_bag(i, w, o, mode="mean", padding_idx=4),
        (IDS, OFFSETS, normal(5, 3)),
    ),
    "bag_weights": (
        lambda i, o, w, s: F.embedding_bag(i, w, o, mode="sum", per_sample_weights=s),
        (IDS, OFFSETS, normal(5, 3), normal(7)),
    ),
    "slice_scatter": (
        lambda x, y: torch.slice_scatter(x, y, 1, 2, 5),
        (normal(4, 9), normal(4, 3)),
    ),
    "slice_scatter_steps": (
        lambda x, y: torch.slice_scatter(x, y, 1, 1, 9, 3),
        (normal(4, 9), normal(4, 3)),
    ),
    "select_scatter": (
        lambda x, y: torch.select_scatter(x, y, 0, -2),
        (normal(4, 9), normal(9)),
    ),
    "inverse_hyperbolic": (
        lambda x: (x.asinh(), (x.abs() + 1).acosh(), x.tanh().atanh()),
        (torch.cat([normal(20), torch.tensor([0.0, 1e-6, 1e12, -1e12, float("nan")])]),),
    ),
    "signs": (
        lambda x, y: (torch.copysign(x, y), x.signbit(), torch.copysign(x, -1.0), x.angle()),
        (SPECIAL, SPECIAL.flip(0)),
    ),
    "without_nan": (
        lambda x, y: (torch.fmax(x, y), torch.fmin(x, y), torch.hypot(x, y)),
        (SPECIAL, SPECIAL.flip(0)),
    ),
    "addbmm": (
        lambda c, x, y: torch.addbmm(c, x, y, beta=0.5, alpha=2),
        (normal(3, 5), normal(4, 3, 2), normal(4, 2, 5)),
    ),
    **{
        f"negative_padding_{mode}": (
            lambda x, mode=mode: F.pad(x, (-1, 2, 3, -2), mode=mode),
            (PLANE,),
        )
        for mode in ("circular", "replicate", "reflect")
    },
    "native_group_norm": (
        lambda x, w: torch.native_group_norm(x, w, w, 2, 6, 15, 3, 1e-5),
        (normal(2, 6, 15), normal(6)),
    ),
    "no_elements": (
        lambda x: (F.adaptive_avg_pool2d(x[:0], (4, 3)), x[:, :, :0].cumsum(1), x[:0].sum()),
        (PLANE,),
    ),
    "round_to_decimals": (
        lambda x: (x.round(decimals=2), x.round(decimals=-1), x.round(decimals=0)),
        (normal(20) * 100,),
    ),
    "put": (
        lambda x, i, y: (x.put(i, y), x.put(i, y, accumulate=True)),
        (normal(3, 4), torch.tensor([[1, -1], [5, 7]]), normal(2, 2)),
    ),
    "bilinear": (
        F.bilinear,
        (normal(2, 3, 4), normal(2, 3, 5), normal(6, 4, 5), normal(6)),
    ),
    "batch_statistics": (
        lambda x: F.batch_norm(x, None, None, training=True),
        (PLANE,),
    ),
    "diagonal_scatter": (
        lambda x, y: (x.diagonal_scatter(y, -1, 2, 0), x.diagonal_scatter(y[:, :3], -1, 0, 2)),
        (normal(4, 2, 6), normal(2, 4)),
    ),
    "nan_median": (
        lambda x: (x[:2].nanmedian(1), x.nanmedian(1)[0], x.nanmedian()),
        (torch.stack([SPECIAL, SPECIAL.flip(0), torch.full_like(SPECIAL, float("nan"))]),),
    ),
    **{
        f"segment_{fn}": (
            lambda x, n, o, fn=fn: (
                torch.segment_reduce(x, fn, lengths=n),
                torch.segment_reduce(x, fn, offsets=o, initial=2.0),
            ),
            (normal(6, 3), torch.tensor([1, 0, 3, 2]), torch.tensor([0, 2, 2, 6])),
        )
        for fn in ("sum", "mean", "max", "min", "prod")
    },
    "index_reduce_of_a_number": (
        lambda x, i, y: x.index_reduce(0, i, y, "amax"),
        (torch.tensor(1.0), torch.tensor(0), torch.tensor(3.0)),
    ),
    "logcumsumexp": (
        lambda x: (x.logcumsumexp(0), x.logcumsumexp(1)),
        (torch.cat([normal(3, 5) * 20, torch.full((1, 5), -float("inf"))]),),
    ),
}


class Wrapped(nn.Module):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Any:
        return self.function(*inputs)


DOUBLED = {
    name: (function, tuple(x.double() if x.is_floating_point() else x for x in inputs))
    for name, (function, inputs) in CASES.items()
}


@pytest.mark.parametrize("name", CASES)
def test_imported_function_equals_torch(equals_torch: Any, name: str) -> None:
    equals_torch(DOUBLED, name, 1e-9, 1e-12)


def test_mean_pools_of_integers_truncate() -> None:
    x = torch.arange(-13, 14).reshape(1, 3, 9)
    pool = Wrapped(lambda x: F.avg_pool1d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False))
    model = import_program(export_model(pool, (x,)))
    assert '"trunc_div"' in str(model.module)  # "div" would trap in lanes beyond the end
    [found] = evaluate(model.module, model.weights, [x.numpy()])
    np.testing.assert_array_equal(found, pool(x).numpy())


def test_one_window_is_not_larger_than_the_image() -> None:
    x = torch.arange(84.0, dtype=torch.float64).reshape(1, 3, 4, 7)
    pools = Wrapped(
        lambda x: (
            F.avg_pool2d(x, 1280, ceil_mode=True),
            F.avg_pool2d(x, (6, 999), padding=(2, 1), ceil_mode=True),
            F.max_pool2d(x, (99, 3), (99, 4), padding=(1, 0), ceil_mode=True),
        )
    )
    model = import_program(export_model(pools, (x,)))
    windows = [op for op in model.module.walk() if isinstance(op, PoolOp)]
    assert [[k.data for k in op.kernel] for op in windows] == [[4, 7], [4, 7], [4, 3]]
    assert not any(p.data for op in windows for p in (*op.padding_low, *op.padding_high))
    found = evaluate(model.module, model.weights, [x.numpy()])
    for result, want in zip(found, pools(x), strict=True):
        np.testing.assert_allclose(result, want.numpy(), rtol=1e-12)


def test_the_position_of_a_mode_in_a_long_row_is_refused() -> None:
    x = torch.randint(0, 5, (2, 40))
    model = import_program(export_model(Wrapped(lambda x: x.mode(1)[0]), (x,)))
    [found] = evaluate(model.module, model.weights, [x.numpy()])
    np.testing.assert_array_equal(found, x.mode(1)[0].numpy())
    with pytest.raises(UnsupportedOperatorError, match="result 1 is not computed"):
        import_program(export_model(Wrapped(lambda x: x.mode(1)[1]), (x,)))
