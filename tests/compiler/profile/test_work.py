"""Operations and bytes of kernels, counted from their loops."""

from __future__ import annotations

import tilecast
import torch
from tilecast.compiler.profile.work import KernelWork, work_of_kernels
from torch import Tensor, nn


def work(model: nn.Module, *inputs: Tensor) -> list[KernelWork]:
    module = tilecast.compile(model.eval(), inputs, stop_after="structure")
    return list(work_of_kernels(module).values())


def test_a_layer_touches_each_argument_once() -> None:
    (found,) = work(nn.Linear(64, 32), torch.randn(4, 64))
    floats = 4 * 64 + 64 * 32 + 32 + 4 * 32
    assert found == KernelWork(2 * 4 * 64 * 32 + 4 * 32, 4 * floats)


def test_of_a_table_only_the_rows_that_are_read_count() -> None:
    rows = torch.randint(0, 1000, (1, 8))
    (found,) = work(nn.Embedding(1000, 64), rows)
    assert found == KernelWork(0, 8 * 8 + 2 * 8 * 64 * 4)


def test_a_table_counts_once_where_it_is_read_often() -> None:
    rows = torch.randint(0, 3, (50,))
    (found,) = work(nn.Embedding(3, 16), rows)
    assert found == KernelWork(0, 50 * 8 + 3 * 16 * 4 + 50 * 16 * 4)
