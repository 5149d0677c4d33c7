"""Many calls: memory stays what it was, and threads that call at once get the same bits."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path

import torch
from tilecast import CompiledModel
from torch import Tensor

PAGE = os.sysconf("SC_PAGE_SIZE")


def resident_bytes() -> int:
    """Memory of this process that is in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def growth(model: CompiledModel, inputs: Sequence[Tensor], calls: int) -> int:
    """Bytes by which memory grows in `calls` calls, after a hundredth of them has been made."""
    for _ in range(max(1000, calls // 100)):
        model(*inputs)
    before = resident_bytes()
    for _ in range(calls):
        model(*inputs)
    return resident_bytes() - before


def wrong_answers(
    models: Sequence[CompiledModel], inputs: Sequence[Tensor], threads: int, calls: int
) -> int:
    """Results of models that many threads call at once, with other bits than those of one call."""
    examples = [[x + k for x in inputs] for k in range(threads)]
    expected = [[model(*given) for model in models] for given in examples]
    wrong = [0] * threads

    def work(number: int) -> None:
        for call in range(calls):
            k = (number + call) % len(models)
            wrong[number] += not torch.equal(models[k](*examples[number]), expected[number][k])

    crowd = [threading.Thread(target=work, args=(k,)) for k in range(threads)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    return sum(wrong)
