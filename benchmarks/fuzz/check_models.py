"""Random models through the compiler, compared with eager PyTorch; failures are made small."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from torch import Tensor

from ..conformance.batch import Outcome, run_samples, without_collection
from ..conformance.samples import Sample
from .isolated import run_isolated
from .minimize import minimized
from .near_ties import is_near_tie
from .quick_decompositions import quick_decompositions
from .random_model import RandomModel, draw_graph, dynamic_dims
from .report import Failure, Report

BATCH = 64
BAD = ("mismatch", "crash")
Choice = tuple[int, tuple[int, ...] | None]  # a seed, and the numbers of steps kept; None: all


def whole(seed: int) -> Choice:
    """All steps of a seed."""
    return seed, None


def model_of(choice: Choice) -> tuple[RandomModel, tuple[Tensor, ...]]:
    """The model of a choice, and its inputs."""
    seed, kept = choice
    drawn = draw_graph(seed)
    return drawn.model(drawn.numbers if kept is None else kept)


def run_choices(choices: Sequence[Choice], target: str) -> list[Outcome]:
    """The outcomes of these models, in order; runs in this process."""
    samples = []
    for number, choice in enumerate(choices):
        module, inputs = model_of(choice)
        dims = dynamic_dims(choice[0], inputs)
        samples.append(Sample("model", "mixed", number, module, inputs, dims))  # type: ignore[arg-type]
    with without_collection(), quick_decompositions():
        outcomes = run_samples(samples, target, is_near_tie)
    return sorted(outcomes, key=lambda outcome: outcome.index)


def run_apart(choices: Sequence[Choice], target: str) -> list[Outcome]:
    """The same in another process, which may die; what kills it is found by halves."""
    died = Outcome("model", "mixed", 0, "crash", "the process died")
    return run_isolated(run_choices, choices, target, died)


def kind_of(outcome: Outcome) -> str:
    """What makes two failures the same: the kind of result, and the error without its numbers."""
    if outcome.status != "crash":
        return outcome.status
    return re.sub(r"\d+|%\w+", "#", outcome.reason)[:60]


def failure(choice: Choice, outcome: Outcome, target: str) -> Failure:
    """A failure with the model's text and command."""
    seed, _ = choice
    module, inputs = model_of(choice)
    types = zip(module.given, inputs, strict=True)
    shapes = ", ".join(f"v{k}: {t.dtype} {tuple(t.shape)}" for k, t in types)
    steps = ",".join(map(str, module.steps))
    command = f"python -m benchmarks.fuzz models --seed {seed} --steps {steps} --target {target}"
    return Failure(seed, outcome.status, outcome.reason, f"{shapes} | {module}", command)


def smallest(choice: Choice, outcome: Outcome, target: str) -> Failure:
    """The failure of a model with as few steps as show it."""
    seed, kept = choice
    steps = draw_graph(seed).numbers if kept is None else list(kept)

    def fail(candidates: list[list[int]]) -> list[bool]:
        found = iter(run_apart([(seed, tuple(c)) for c in candidates if c], target))
        return [bool(c) and kind_of(next(found)) == kind_of(outcome) for c in candidates]

    kept = tuple(minimized(steps, fail))
    (last,) = run_apart([(seed, kept)], target)
    return failure((seed, kept), last, target)


def check_models(choices: Iterable[Choice], target: str, minimize: bool = True) -> Iterator[Report]:
    """The report so far, after every batch of models; choices are drawn as they are needed."""
    report, rest = Report(), iter(choices)
    while part := list(islice(rest, BATCH)):
        for choice, outcome in zip(part, run_apart(part, target), strict=True):
            report.counts[outcome.status] += 1
            if outcome.status == "refused":
                report.refusals[re.sub(r" @ \S+|\d+", "#", outcome.reason)[:120]] += 1
            if outcome.status in BAD:
                full = failure(choice, outcome, target)
                report.failures.append(smallest(choice, outcome, target) if minimize else full)
        report.seeds += len(part)
        yield report
