"""Operators whose result torch leaves open where elements are equal, with the one answer we give.

Sorting without `stable` may order equal elements in any way, and topk, kthvalue and median may
answer the position of any of them. Compiled programs take the first; the reference has to as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.fx import Interpreter

aten = torch.ops.aten
Pair = tuple[Tensor, Tensor]


def topk(x: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Pair:
    """The first k of a stable order."""
    values, order = torch.sort(x, dim=dim, descending=largest, stable=True)
    return values.narrow(dim, 0, k), order.narrow(dim, 0, k)


def kth_value(x: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Pair:
    """Element k - 1 of a stable order."""
    values, order = torch.sort(x, dim=dim, stable=True)
    return _pick(values, torch.full_like(order.narrow(dim, 0, 1), k - 1), order, dim, keepdim)


def median(x: Tensor, dim: int, keepdim: bool = False) -> Pair:
    """The lower median in a stable order; the first NaN where there is one."""
    values, order = torch.sort(x, dim=dim, stable=True)
    nans = values.isnan().sum(dim, keepdim=True)
    count = values.shape[dim]
    at = torch.where(nans > 0, count - nans, (count - 1) // 2)
    return _pick(values, at, order, dim, keepdim)


def _pick(values: Tensor, at: Tensor, order: Tensor, dim: int, keepdim: bool) -> Pair:
    picked = values.gather(dim, at), order.gather(dim, at)
    return picked if keepdim else (picked[0].squeeze(dim), picked[1].squeeze(dim))


def sort(x: Tensor, dim: int = -1, descending: bool = False) -> Pair:
    """A stable sort."""
    return torch.sort(x, dim=dim, descending=descending, stable=True)


def argsort(x: Tensor, dim: int = -1, descending: bool = False) -> Tensor:
    """A stable order."""
    return torch.argsort(x, dim=dim, descending=descending, stable=True)


DEFINITE: dict[Any, Callable[..., Any]] = {
    aten.sort.default: sort,
    aten.argsort.default: argsort,
    aten.topk.default: topk,
    aten.kthvalue.default: kth_value,
    aten.median.dim: median,
}


class DefiniteInterpreter(Interpreter):
    """Runs an fx graph with equal elements in the order of compiled programs."""

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Call an operator, or what stands for it."""
        has_dims = bool(args) and isinstance(args[0], Tensor) and args[0].ndim > 0
        definite = DEFINITE.get(target, target) if has_dims else target
        return super().call_function(definite, args, kwargs)
