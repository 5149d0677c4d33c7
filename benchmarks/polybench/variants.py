"""What is compared for one kernel: peers and our schedules, each a library or a reason why not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
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


def peer_variants(kernel: KernelTask, threads: int) -> list[Variant]:
    """gcc on both forms of the untransformed nest, Polly on one thread and on all."""
    variants = [
        peer("gcc nested", lambda: compile_gcc(kernel, nested=True)),
        peer("gcc flat", lambda: compile_gcc(kernel, nested=False)),
        peer("polly 1 thread", lambda: compile_polly(kernel, 1)),
    ]
    if threads > 1:
        variants.append(peer("polly", lambda: compile_polly(kernel, threads)))
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
