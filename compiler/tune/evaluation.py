"""`costmodel eval`: every kind of model, cross-validated by family, as data and as a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from math import log2
from pathlib import Path
from typing import Any

from ...costmodel.data.samples import DataSet
from ...costmodel.evaluation.decisions import decision_table, outcomes
from ...costmodel.evaluation.evaluate import (
    FEWEST,
    FOLDS,
    Measured,
    cross_validated,
    measured_again,
    trained_folds,
)
from ...costmodel.evaluation.machines import Experience, Transfer, transfers
from ...costmodel.evaluation.metrics import ALIKE, CLEAR, METRICS, Figure, Ranked, figures
from ...costmodel.evaluation.report import Curve, draw_figures, family_table, table
from ...costmodel.models.ensemble import EnsembleModel
from ...costmodel.models.load import MODELS, new_model
from ...passes.poly.rules.choice import alternatives
from .training_data import measured

AGAIN = "second measurement"
SHARES = (0.25, 0.5)  # of the training families, for the learning curve
CURVES = ("top-1", "top-5", "spearman")
LEARNER = "gbdt"  # whose learning curve is shown
CARRIED = ("gbdt", "ensemble")  # from one machine to another
UNTRAINED = ("random", "roofline")
NETWORKS, RANDOM, POLYBENCH = "kernels of networks", "random programs", "PolyBench"
# (kernels, metric, what it should reach)
BARS = ((NETWORKS, "spearman", 0.85), (POLYBENCH, "spearman", 0.95), (POLYBENCH, "mape", 0.16))
MOST_DOUBLINGS = 10  # beyond which a line says nothing
Steps = list[tuple[int, dict[str, Ranked]]]  # families trained on, and what came of it


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What `eval` finds; `tasks` are the rankings of the model in `shown`."""

    results: Mapping[str, Mapping[str, Figure]]
    tasks: Mapping[str, Ranked]
    shown: str
    families: Mapping[str, str]
    steps: Steps
    importance: Mapping[str, float]
    facts: Mapping[str, Any]
    kinds: Mapping[str, Mapping[str, Mapping[str, Figure]]]
    kind_of: Mapping[str, str]
    decisions: str
    machines: Sequence[Transfer]

    def as_data(self) -> dict[str, Any]:
        """As JSON has it."""
        results = {m: {n: asdict(f) for n, f in found.items()} for m, found in self.results.items()}
        return {"results": results, "facts": dict(self.facts)}


def evaluate(
    folder: Path,
    shown: str = "ensemble",
    models: Sequence[str] = tuple(MODELS),
    keep: Path | None = None,
) -> Evaluation:
    """Cross-validate on the data set in `folder`; trained models are kept in the folder `keep`."""
    with DataSet.opened(folder) as source:
        return evaluated(source, measured(source), shown, models, keep)


def evaluated(
    source: DataSet,
    data: Measured,
    shown: str,
    models: Sequence[str],
    keep: Path | None = None,
) -> Evaluation:
    """Cross-validate on `data`, which was read from `source`."""
    names = dict.fromkeys([*models, shown])
    folds = {
        name: trained_folds(partial(new_model, name), data, keep=keep and keep / name)
        for name in names
    }
    ranked = {name: cross_validated(data, found) for name, found in folds.items()}
    again = measured_again(data)
    if again:
        ranked[AGAIN] = again
    whole = EnsembleModel()
    whole.update(data.candidates, data.seconds)
    offered = [str(choice) for choice in alternatives(2)]
    makers = {name: partial(new_model, name) for name in CARRIED if name in names}
    untrained = {name: ranked[name] for name in (*UNTRAINED, AGAIN) if name in ranked}
    return Evaluation(
        {name: figures(list(tasks.values())) for name, tasks in ranked.items()},
        ranked[shown],
        shown,
        dict(zip(data.names, data.families, strict=True)),
        learning_steps(data, LEARNER, ranked.get(LEARNER), keep),
        whole.importance(),
        facts_of(source, data),
        by_kind(ranked, kinds_of(data)),
        kinds_of(data),
        decision_table({shown: outcomes(data, offered, folds[shown])}),
        transfers(Experience(data, makers, folds, keep), untrained, offered),
    )


def kinds_of(data: Measured) -> dict[str, str]:
    """Kernel of a network, random program or PolyBench, per task."""
    found: dict[str, str] = {}
    for name, family, choice in zip(data.names, data.families, data.choices, strict=True):
        other = RANDOM if family.startswith("random") else POLYBENCH
        if choice or name not in found:
            found[name] = NETWORKS if choice else other
    return found


def by_kind(
    ranked: Mapping[str, Mapping[str, Ranked]], kinds: Mapping[str, str]
) -> dict[str, dict[str, dict[str, Figure]]]:
    """The figures of each model for each kind of task."""
    found: dict[str, dict[str, dict[str, Figure]]] = {}
    for kind in sorted(set(kinds.values())):
        found[kind] = {}
        for model, tasks in ranked.items():
            members = [t for name, t in tasks.items() if kinds[name] == kind]
            if members:
                found[kind][model] = figures(members)
    return found


def learning_steps(
    data: Measured, kind: str, whole: dict[str, Ranked] | None, keep: Path | None = None
) -> Steps:
    """What a model that is trained on more and more families says about the others; all of them
    give `whole`, where that is known."""
    total = len(set(data.families))
    training = total - -(-total // FOLDS)
    found = []
    for count in sorted({*(max(1, round(share * training)) for share in SHARES), training}):
        tasks = whole if count == training else None
        if tasks is None:
            folder = keep and keep / f"{kind}-{count}"
            folds = trained_folds(partial(new_model, kind), data, families=count, keep=folder)
            tasks = cross_validated(data, folds)
        found.append((count, tasks))
    return found


def learning_curves(steps: Steps) -> dict[str, Curve]:
    """Metrics against the number of families trained on."""
    found = [(count, figures(list(tasks.values()))) for count, tasks in steps]
    return {metric: [(n, f[metric]) for n, f in found] for metric in CURVES}


def bar_table(steps: Steps, kinds: Mapping[str, str]) -> str:
    """What more families gave, and how many it would take to reach each bar if every doubling gave
    what the last one did."""
    counts = [count for count, _ in steps]
    lines = [
        "| kernels | metric | " + " | ".join(f"{n} families" for n in counts) + " | bar | needs |",
        "|---|---|" + "---|" * (len(counts) + 2),
    ]
    for kind, metric, bar in BARS:
        values = [
            METRICS[metric]([t for name, t in tasks.items() if kinds[name] == kind])
            for _, tasks in steps
            if kind in kinds.values()
        ]
        if values:
            cells = " | ".join(f"{v:.3f}" for v in values)
            is_reached = values[-1] <= bar if metric == "mape" else values[-1] >= bar
            needs = "reached" if is_reached else families_needed(counts, values, bar)
            lines.append(f"| {kind} | {metric} | {cells} | {bar} | {needs} |")
    return "\n".join(lines)


def families_needed(counts: Sequence[int], values: Sequence[float], bar: float) -> str:
    """By the line through the last two values, over the logarithm of the number of families."""
    if len(values) < 2:
        return "-"
    gain = (values[-1] - values[-2]) / log2(counts[-1] / counts[-2])
    missing = bar - values[-1]
    if missing * gain <= 0 or missing / gain > MOST_DOUBLINGS:
        return "not by more programs"
    return f"about {counts[-1] * 2 ** (missing / gain):.0f} families"


def facts_of(source: DataSet, data: Measured) -> dict[str, Any]:
    """The data card: how much of what, from where, with which noise and failures."""
    tasks = [t for t in source.tasks() if t.machine.name in data.machines]
    names = {t.name for t in tasks}
    samples = [s for s in source.samples() if s.task in names]
    noise = sorted(s.noise for s in samples if s.seconds is not None)
    return {
        "samples": len(data.seconds),
        "measured twice": len(measured_again(data)),
        "left out as noisy": sum(s.is_noisy for s in samples),
        "tasks": len(set(data.names)),
        "schedules per task": round(len(data.seconds) / len(set(data.names)), 1),
        "families": len(set(data.families)),
        "failures": counted(s.failure for s in samples if s.failure),
        "median noise": round(noise[len(noise) // 2], 4),
        "90% noise": round(noise[int(0.9 * (len(noise) - 1))], 4),
        "samples by machine": counted(data.machines),
        "tasks by threads": counted(str(t.threads) for t in tasks),
        "compilers": ", ".join(sorted({t.compiler for t in tasks})),
        "speeds": "measured" if all(t.speeds.measured for t in tasks) else "estimated",
    }


def counted(values: Iterable[str]) -> str:
    """How often there is what, as text."""
    counts = sorted(Counter(values).items())
    return ", ".join(f"{name}: {count}" for name, count in counts) or "none"


MACHINES = """## From one machine to another

`gbdt of A` was trained on what was measured on machine A only; like all others, without the family
that it is tested on.

"""


def machine_sections(evaluation: Evaluation) -> str:
    """For every machine what models of others and its own say of it; nothing of a single one."""
    parts = [machine_section(found, evaluation.kind_of) for found in evaluation.machines]
    return MACHINES + "".join(parts) if parts else ""


def machine_section(found: Transfer, kind_of: Mapping[str, str]) -> str:
    """Tables of one machine: all tasks, kernels of networks, decisions about these."""
    tasks = {label: figures(list(of.values())) for label, of in found.ranked.items() if of}
    networks = by_kind(found.ranked, kind_of).get(NETWORKS, {})
    count = len({name for of in found.ranked.values() for name in of})
    parts = [f"### On {found.machine}, {count} tasks", table(tasks)]
    if networks:
        parts += [f"On {found.machine}, {NETWORKS}:", table(networks)]
    if found.decided:
        parts += [f"Decisions on {found.machine}:", decision_table(found.decided)]
    return "\n\n".join(parts) + "\n\n"


def write_report(evaluation: Evaluation, path: Path) -> None:
    """Write the Markdown file, and its figures in a folder of the same name beside it."""
    folder = path.with_suffix("")
    curves = learning_curves(evaluation.steps)
    draw_figures(folder, evaluation.tasks, evaluation.importance, curves)
    card = "\n".join(f"| {name} | {value} |" for name, value in evaluation.facts.items())
    folds = min(FOLDS, evaluation.facts["families"])
    kinds = "\n\n".join(f"### {kind}\n\n{table(found)}" for kind, found in evaluation.kinds.items())
    figure = f"{folder.name}/{{}}.png"
    text = f"""# The cost model, evaluated

Written by `tilecast costmodel eval --report {path.name}`; nothing here is edited by hand.

Cross-validation in {folds} folds by whole program family: all sizes of a PolyBench kernel, all
kernels of a network, are either trained on or tested on. Metrics are means over the tasks with at
least {FEWEST} measured schedules, tasks counting alike; brackets are 95% intervals over resampled
tasks. top-k is the best time over the best among the k schedules that the model ranks first; where
tasks have few schedules (see the data card), top-5 says little, as the row of `random` shows.
"of groups" is the Spearman correlation had the model put schedules within {ALIKE:.0%} of each
other in their measured order: what it lacks is order among schedules that do differ, and the rest
of what the Spearman correlation lacks is order among schedules that hardly do.
"pairs" are those of schedules whose times differ by more than {CLEAR:.0%}, and the share in order.
`second measurement` ranks schedules by every other round of the measurement, and is compared with
the rest: what a perfect model would get, since many schedules of a kernel hardly differ. Its rows
are over the {evaluation.facts["measured twice"]} tasks measured so, not over all.

{table(evaluation.results)}

{kinds}

## What more programs would give

The same for {LEARNER} trained on fewer families, and how many families each bar would take if every
doubling gave what the last one did.

{bar_table(evaluation.steps, evaluation.kind_of)}

## Decisions without measurements

What compilations would have decided about kernels of networks, by an ensemble that has seen nothing
of the family: it goes against the rules where the predicted gain exceeds the margin and its doubt.

{evaluation.decisions}

{machine_sections(evaluation)}## Held-out families, {evaluation.shown}

{family_table(evaluation.tasks, evaluation.families)}

## Figures

![predicted and measured seconds of held-out tasks]({figure.format("predicted")})
![calibration]({figure.format("calibration")})
![learning curve]({figure.format("learning_curve")})
![importance of features]({figure.format("importance")})

## Data card

| property | value |
|---|---|
{card}
"""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
