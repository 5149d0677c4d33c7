"""Small models to compile, one per seed, and processes that begin with everything imported."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import tilecast
import torch
from torch import Tensor, nn


def context() -> ForkServerContext:
    """Processes forked from a server that has imported the compiler, and has no threads."""
    chosen = multiprocessing.get_context("forkserver")
    chosen.set_forkserver_preload(["tilecast.compiler.driver", "tilecast.compiler.lowering"])
    return chosen


def model(seed: int) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """Two layers and a softmax; other weights for other seeds."""
    torch.manual_seed(seed)
    layers = nn.Sequential(nn.Linear(24, 33), nn.GELU(), nn.Linear(33, 9), nn.Softmax(-1))
    return layers.eval(), (torch.randn(5, 24),)


def compiled(seed: int, **options: Any) -> tilecast.CompiledModel:
    """The model of a seed, compiled with one thread."""
    torch.set_num_threads(1)
    module, inputs = model(seed)
    return tilecast.compile(module, inputs, threads=1, **options)


@contextmanager
def cache_in(folder: Path) -> Iterator[None]:
    """Use `folder` as the cache; processes that are started meanwhile do too."""
    before = os.environ.get("TILECAST_CACHE_DIR")
    os.environ["TILECAST_CACHE_DIR"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["TILECAST_CACHE_DIR"]
        else:
            os.environ["TILECAST_CACHE_DIR"] = before
