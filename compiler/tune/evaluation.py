"""`costmodel eval`: every kind of model, cross-validated by family, as data and as a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
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
from ...costmodel.evaluation.metrics import CLEAR, Figure, Ranked, figures
from ...costmodel.evaluation.report import Curve, draw_figures, family_table, table
from ...costmodel.models.ensemble import EnsembleModel
from ...costmodel.models.load import MODELS, new_model
from ...passes.poly.rules.choice import alternatives
from .training_data import measured

AGAIN = "second measurement"
SHARES = (0.25, 0.5)  # of the training families, for the learning curve
CURVES = ("top-1", "top-5", "spearman")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What `eval` finds; `tasks` are the rankings of the model in `shown`."""

    results: Mapping[str, Mapping[str, Figure]]
    tasks: Mapping[str, Ranked]
    shown: str
    families: Mapping[str, str]
    curves: Mapping[str, Curve]
    importance: Mapping[str, float]
    facts: Mapping[str, Any]
    kinds: Mapping[str, Mapping[str, Mapping[str, Figure]]]
    decisions: str

    def as_data(self) -> dict[str, Any]:
        """As JSON has it."""
        results = {m: {n: asdict(f) for n, f in found.items()} for m, found in self.results.items()}
        return {"results": results, "facts": dict(self.facts)}


def evaluate(
    folder: Path, shown: str = "ensemble", models: Sequence[str] = tuple(MODELS)
) -> Evaluation:
    """Cross-validate on the data set in `folder`."""
    with DataSet.opened(folder) as source:
        return evaluated(source, measured(source), shown, models)


def evaluated(source: DataSet, data: Measured, shown: str, models: Sequence[str]) -> Evaluation:
    """Cross-validate on `data`, which was read from `source`."""
    names = dict.fromkeys([*models, shown])
    folds = {name: trained_folds(partial(new_model, name), data) for name in names}
    ranked = {name: cross_validated(data, found) for name, found in folds.items()}
    again = measured_again(data)
    if again:
        ranked[AGAIN] = again
    whole = EnsembleModel()
    whole.update(data.candidates, data.seconds)
    return Evaluation(
        {name: figures(list(tasks.values())) for name, tasks in ranked.items()},
        ranked[shown],
        shown,
        dict(zip(data.names, data.families, strict=True)),
        learning_curves(data, shown, ranked[shown]),
        whole.importance(),
        facts_of(source, data),
        by_kind(ranked, data),
        decision_table(outcomes(data, [str(c) for c in alternatives(2)], folds[shown])),
    )


def by_kind(
    ranked: Mapping[str, Mapping[str, Ranked]], data: Measured
) -> dict[str, dict[str, dict[str, Figure]]]:
    """The figures of each model for kernels of networks, random programs, and other ones."""
    kinds: dict[str, set[str]] = {}
    for name, family, choice in zip(data.names, data.families, data.choices, strict=True):
        other = "random programs" if family.startswith("random") else "PolyBench"
        kinds.setdefault("kernels of networks" if choice else other, set()).add(name)
    found: dict[str, dict[str, dict[str, Figure]]] = {}
    for kind, names in sorted(kinds.items()):
        found[kind] = {}
        for model, tasks in ranked.items():
            members = [t for name, t in tasks.items() if name in names]
            if members:
                found[kind][model] = figures(members)
    return found


def learning_curves(data: Measured, kind: str, whole: Mapping[str, Ranked]) -> dict[str, Curve]:
    """Metrics against the number of families trained on, up to all of them, which give `whole`."""
    total = len(set(data.families))
    training = total - -(-total // FOLDS)
    found = []
    for count in sorted({max(1, round(share * training)) for share in SHARES}):
        folds = trained_folds(partial(new_model, kind), data, families=count)
        found.append((count, figures(list(cross_validated(data, folds).values()))))
    found.append((training, figures(list(whole.values()))))
    return {metric: [(n, f[metric]) for n, f in found] for metric in CURVES}


def facts_of(source: DataSet, data: Measured) -> dict[str, Any]:
    """The data card: how much of what, from where, with which noise and failures."""
    samples, tasks = source.samples(), source.tasks()
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
        "machines": ", ".join(sorted({t.machine.name for t in tasks})),
        "tasks by threads": counted(str(t.threads) for t in tasks),
        "compilers": ", ".join(sorted({t.compiler for t in tasks})),
        "speeds": "measured" if all(t.speeds.measured for t in tasks) else "estimated",
    }


def counted(values: Iterable[str]) -> str:
    """How often there is what, as text."""
    counts = sorted(Counter(values).items())
    return ", ".join(f"{name}: {count}" for name, count in counts) or "none"


def write_report(evaluation: Evaluation, path: Path) -> None:
    """Write the Markdown file, and its figures in a folder of the same name beside it."""
    folder = path.with_suffix("")
    draw_figures(folder, evaluation.tasks, evaluation.importance, evaluation.curves)
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
"pairs" are those of schedules whose times differ by more than {CLEAR:.0%}, and the share in order.
`second measurement` ranks schedules by every other round of the measurement, and is compared with
the rest: what a perfect model would get, since many schedules of a kernel hardly differ. Its rows
are over the {evaluation.facts["measured twice"]} tasks measured so, not over all.

{table(evaluation.results)}

{kinds}

## Decisions without measurements

What compilations would have decided about kernels of networks, by an ensemble that has seen nothing
of the family: it goes against the rules where the predicted gain exceeds the margin and its doubt.

{evaluation.decisions}

## Held-out families, {evaluation.shown}

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
