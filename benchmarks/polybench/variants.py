"""What is compared for one kernel: peers and our schedules, each a library or a reason why not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tilecast.compiler.tune.libraries import BuildPool, Library
from tilecast.passes.poly.search import Candidate, Result

from .kernel_task import KernelTask
from .peers import PeerUnavailable, compile_gcc, compile_polly

BUILD_SECONDS = 120.0


@dataclass
class Variant:
    """One row of a kernel's result. `facts` are written beside its times."""

    name: str
    library: Library | None = None
    failure: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


def peer(name: str, build: Callable[[], Library]) -> Variant:
    """A peer's variant."""
    try:
        return Variant(name, build())
    except PeerUnavailable as error:
        return Variant(name, failure=str(error))


GCC = ("gcc nested", "gcc flat")
POLLY = ("polly nested", "polly flat", "polly nested parallel", "polly flat parallel")


def peer_variants(kernel: KernelTask, threads: int) -> list[Variant]:
    """gcc on both forms of the untransformed nest, Polly on these, on one thread and on all.

    No form is better everywhere: Polly finds more in nested arrays, and its parallel code for them
    is wrong at times (LLVM 14, gemm).
    """
    variants = [peer(name, partial(compile_gcc, kernel, "nested" in name)) for name in GCC]
    for name in POLLY if threads > 1 else POLLY[:2]:
        workers = threads if "parallel" in name else 1
        variants.append(peer(name, partial(compile_polly, kernel, "nested" in name, workers)))
    return variants


def own_variants(kernel: KernelTask, schedules: dict[str, Candidate]) -> list[Variant]:
    """One variant per schedule."""
    pool = BuildPool(kernel.task, min(2, len(schedules)))
    try:
        built = pool.build([c.text for c in schedules.values()], BUILD_SECONDS)
    finally:
        pool.close()
    variants = []
    for (name, candidate), made in zip(schedules.items(), built, strict=True):
        facts: dict[str, Any] = {"schedule": candidate.text.splitlines()}
        if isinstance(made, Result):
            variants.append(Variant(name, None, f"{made.failure}: {made.detail}", facts))
        else:
            facts |= {"lower_s": made.lower_s, "compile_s": made.compile_s}
            variants.append(Variant(name, made, "", facts))
    return variants
