"""`tilecast costmodel`: collect samples, train the cost model, evaluate it, ask it."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ...dialects.errors import InvalidInputError, OptionError
from .model_argument import load_model
from .output import json_flag, print_json, print_table

DATA = click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    required=True,
    help="Folder with samples.",
)


@click.group("costmodel")
def costmodel_group() -> None:
    """Samples for the model that predicts which schedules are fast; train, evaluate and ask it."""


@costmodel_group.command("collect")
@click.argument("model", required=False)
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--schedules", type=click.IntRange(min=1), default=14, show_default=True)
@click.option("--seconds", type=float, default=200.0, show_default=True, help="For each stage.")
@click.option("--prepare", is_flag=True, help="Only build; measure in another call.")
@json_flag
def collect_command(
    model: str | None,
    data: Path,
    threads: int,
    schedules: int,
    seconds: float,
    prepare: bool,
    as_json: bool,
) -> None:
    """Add samples of schedules of MODEL's kernels to the folder DATA.

    Building takes long and may share the machine, measuring needs it to itself: build with
    --prepare at any time; without MODEL, what is built is measured. Both go on where they ended.
    """
    from ...costmodel.data.samples import DataSet
    from ..tune.sample_collection import build, measure
    from ..tune.sample_programs import write_kernels

    samples, work = DataSet(data), data / "built"
    if model is None and (prepare or not work.is_dir()):
        raise OptionError(f"expected MODEL to build schedules of: nothing is built in {work}")
    if model is not None:
        loaded = load_model(model)
        if loaded.is_kernel:
            raise OptionError("collect takes models; kernels of affine loops have no samples yet")
        label = re.sub(r"[^A-Za-z0-9]+", "-", Path(model).stem).strip("-")[:40] or "model"
        write_kernels(work, label, label, loaded.model, loaded.example_inputs, threads)
        for line in build(samples, work, seconds, schedules):
            click.echo(line, err=True)
    measured = 0 if prepare else measure(samples, work, seconds)
    facts = {
        "tasks": len({t.group for t in samples.tasks()}),
        "measured now": measured,
        "samples": len(samples.samples()),
    }
    if as_json:
        print_json(facts)
    else:
        print_table(list(facts), [list(facts.values())])


@costmodel_group.command("train")
@DATA
@click.option("--model", "kind", default="ensemble", show_default=True, help="Kind of model.")
@click.option("--machine", help="Only samples of this machine.")
@click.option("--output", "-o", type=click.Path(path_type=Path), required=True)
@json_flag
def train_command(data: Path, kind: str, machine: str | None, output: Path, as_json: bool) -> None:
    """Train a model on all samples, or those of one machine, and write it."""
    from ...costmodel.data.samples import DataSet
    from ...costmodel.models.load import new_model
    from ..tune.training_data import measured

    with DataSet.opened(data) as source:
        samples, model = measured(source, machine), new_model(kind)
    model.update(samples.candidates, samples.seconds)
    model.save(output)
    facts = {
        "model": kind,
        "samples": len(samples.seconds),
        "tasks": len(set(samples.names)),
        "families": len(set(samples.families)),
    }
    if as_json:
        print_json(facts)
    else:
        print_table(list(facts), [list(facts.values())])


@costmodel_group.command("eval")
@DATA
@click.option("--report", type=click.Path(path_type=Path), help="Markdown file; figures beside it.")
@click.option("--model", "models", multiple=True, help="Kinds to compare; default: all.")
@click.option("--keep", type=click.Path(path_type=Path), help="Folder of trained folds, to go on.")
@json_flag
def eval_command(
    data: Path, report: Path | None, models: tuple[str, ...], keep: Path | None, as_json: bool
) -> None:
    """Cross-validate every kind of model by whole program and network."""
    from ...costmodel.models.load import MODELS
    from ..tune.evaluation import evaluate, write_report

    evaluation = evaluate(data, models=models or tuple(MODELS), keep=keep)
    if report is not None:
        write_report(evaluation, report)
    if as_json:
        print_json(evaluation.as_data())
        return
    names = list(next(iter(evaluation.results.values())))
    rows: list[list[Any]] = [
        [model, *(f"{found[name].value:.3f}" for name in names)]
        for model, found in evaluation.results.items()
    ]
    print_table(["model", *names], rows)


@costmodel_group.command("test")
@DATA
@click.option(
    "--model",
    "folders",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    multiple=True,
    help="Folder of a trained model.",
)
@click.option("--machine", help="Only samples of this machine.")
@click.option("--report", type=click.Path(path_type=Path), help="Markdown file.")
@json_flag
def test_command(
    data: Path, folders: tuple[Path, ...], machine: str | None, report: Path | None, as_json: bool
) -> None:
    """How well trained models order and predict samples, such as those of another machine."""
    from ...costmodel.evaluation.metrics import figures
    from ..tune.model_test import tested, write_test

    found = tested(data, folders, machine)
    if report is not None:
        chosen = [f"--model {folder}" for folder in folders]
        chosen += [] if machine is None else [f"--machine {machine}"]
        command = f"tilecast costmodel test --data {data} {' '.join(chosen)} --report {report}"
        write_test(found, command, report)
    results = {m: figures(list(tasks.values())) for m, tasks in found.ranked.items() if tasks}
    if as_json:
        print_json({m: {n: asdict(f) for n, f in of.items()} for m, of in results.items()})
        return
    names = list(next(iter(results.values()), {}))
    rows = [[m, *(f"{of[n].value:.3f}" for n in names)] for m, of in results.items()]
    print_table(["model", *names], rows)


@costmodel_group.command("eval-objects")
@DATA
@click.option("--report", type=click.Path(path_type=Path), help="Markdown file.")
@json_flag
def eval_objects_command(data: Path, report: Path | None, as_json: bool) -> None:
    """Cross-validate models of registers, spills and instructions by program and network."""
    from ...costmodel.data.samples import DataSet
    from ..tune.object_evaluation import object_results, write_object_report

    with DataSet.opened(data) as source:
        found = object_results(source)
    if not found:
        raise InvalidInputError(f"{data} has too few kernels in objects.jsonl")
    if report is not None:
        write_object_report(found, report)
    figures = {
        group: {m: {n: asdict(f) for n, f in of.items()} for m, of in results.items()}
        for group, (_, results) in found.items()
    }
    if as_json:
        print_json(figures)
        return
    rows: list[list[Any]] = [
        [group, model, *(f"{f['value']:.3f}" for f in of.values())]
        for group, results in figures.items()
        for model, of in results.items()
    ]
    print_table(["kernels", "model", *next(iter(next(iter(figures.values())).values()))], rows)


@costmodel_group.command("predict")
@click.argument("program", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--model", "folder", type=click.Path(path_type=Path), help="Default: roofline.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@json_flag
def predict_command(program: Path, folder: Path | None, threads: int, as_json: bool) -> None:
    """Rank the automatic schedules of the poly.scop in the file PROGRAM, without measuring."""
    from ...costmodel.models.analytic import RooflineModel
    from ...costmodel.models.load import load_model as load_cost_model
    from ..tune.prediction import ranked_schedules

    model = RooflineModel() if folder is None else load_cost_model(folder)
    try:
        text = program.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{program}: {error}") from error
    ranked = ranked_schedules(text, model, threads)
    if as_json:
        print_json([{"seconds": r.seconds, "score": r.score, "steps": r.steps} for r in ranked])
        return
    for r in ranked:
        steps = r.steps.replace("\n", "; ") or "original order"
        click.echo(f"{r.seconds * 1e3:10.3f} ms  {steps[:120]}")
