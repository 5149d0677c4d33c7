"""`costmodel test`: what trained models say of samples, say of a machine that they never saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...costmodel.data.samples import DataSet
from ...costmodel.evaluation.decisions import Outcome, decision_table, outcomes
from ...costmodel.evaluation.evaluate import Fold, measured_again, ranked_tasks
from ...costmodel.evaluation.metrics import Ranked
from ...costmodel.evaluation.report import table
from ...costmodel.models.analytic import RandomModel, RooflineModel
from ...costmodel.models.interface import CostModel, Uncertain
from ...costmodel.models.load import load_model
from ...passes.poly.rules.choice import alternatives
from .evaluation import AGAIN, by_kind, facts_of, kinds_of
from .training_data import measured


@dataclass(frozen=True, eq=False)
class ModelTest:
    """Rankings by model and task, decisions by model, the kind of each task, the data card."""

    ranked: Mapping[str, Mapping[str, Ranked]]
    decided: Mapping[str, Sequence[Outcome]]
    kind_of: Mapping[str, str]
    facts: Mapping[str, Any]


def tested(folder: Path, trained: Sequence[Path], machine: str | None) -> ModelTest:
    """The models in the folders `trained`, and those that need no training, on the samples of
    `machine`, or of all."""
    models: dict[str, CostModel] = {"random": RandomModel(), "roofline": RooflineModel()}
    for path in trained:
        model = load_model(path)
        models[f"{model.name} in {path.name}"] = model
    with DataSet.opened(folder) as source:
        data = measured(source, machine)
        facts = facts_of(source, data)
    ranked = {label: ranked_tasks(model, data) for label, model in models.items()}
    if again := measured_again(data):
        ranked[AGAIN] = again
    rows = np.arange(len(data.seconds))
    offered = [str(choice) for choice in alternatives(2)]
    decided = {
        label: outcomes(data, offered, [Fold(model, rows)])
        for label, model in models.items()
        if isinstance(model, Uncertain)
    }
    return ModelTest(ranked, decided, kinds_of(data), facts)


def write_test(found: ModelTest, command: str, path: Path) -> None:
    """Write the tables as Markdown; `command` is what made them."""
    kinds = by_kind(found.ranked, found.kind_of)
    parts = [
        "# Cost models on samples that they were not trained on",
        f"Written by `{command}`; nothing here is edited by hand. `docs/costmodel.md` has the "
        "meaning of the columns.",
        *(f"## {kind}\n\n{table(of)}" for kind, of in kinds.items()),
    ]
    if found.decided:
        parts.append(f"## Decisions without measurements\n\n{decision_table(found.decided)}")
    card = "\n".join(f"| {name} | {value} |" for name, value in found.facts.items())
    parts.append(f"## Data card\n\n| property | value |\n|---|---|\n{card}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
