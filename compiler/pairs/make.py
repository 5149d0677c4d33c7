"""A model to verified pairs: lowered to kernels once, each kernel to every language.

in:  a model's job
out: `Pair`s that passed; what could not be made, and why
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from xdsl.dialects.func import FuncOp

from ...dialects.errors import OptionError, TilecastError
from ...dialects.graph import LaunchOp
from ...dialects.graph.control import is_program
from ..job import Job
from ..logging import Progress
from ..lowering import lower
from ..runtime.cache import open_store
from ..verify.kernels import evaluated
from .dataset import Pair
from .members import languages, make_member, plain_kernel


def make_pairs(job: Job, gpu: str, seed: int) -> tuple[list[Pair], dict[str, str]]:
    """The pairs of all kernels, and the reasons why kernels have none.

    Wrong results, errors of the emulated device too, are reasons: such a kernel is left out.
    """
    progress = Progress(job.settings.progress)
    lowered = lower(job.for_target("c99").with_options(stop_after="structure"), progress)
    if lowered.signature.sizes:
        raise OptionError("pairs are made of models with fixed sizes; leave out dynamic_shapes")
    functions = [op for op in lowered.module.ops if isinstance(op, FuncOp)]
    calls = Counter(
        op.kernel.root_reference.data
        for function in functions
        for op in function.walk()
        if isinstance(op, LaunchOp)
    )
    pairs, reasons, store = [], {}, open_store(job.settings.cache)
    for number, function in enumerate(f for f in functions if not is_program(f)):
        kernel = plain_kernel(function)
        name = kernel.sym_name.data
        evaluation = evaluated(kernel, np.random.default_rng([seed, number]))
        try:
            with progress.stage(name):
                members = tuple(
                    make_member(kernel, language, evaluation, store) for language in languages(gpu)
                )
        except TilecastError as error:
            reasons[name] = str(error)
            continue
        wrong = [m.language.name for m in members if not all(r.passed for r in m.results)]
        if wrong:
            reasons[name] = f"wrong results in {', '.join(wrong)}"
        else:
            pairs.append(Pair(kernel, calls[name], evaluation, members))
    return pairs, reasons
