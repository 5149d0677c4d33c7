"""How fast a search finds fast schedules: guided by the cost model, and by nobody.

    python -m benchmarks.tuning choose --programs build/costmodel/programs   # kernels, held out
    python -m benchmarks.tuning build --seconds 600      # their schedules; shares the machine
    python -m benchmarks.tuning measure --seconds 200    # needs the machine for itself
    python -m benchmarks.tuning report --data build/costmodel/data \
        --json benchmarks/results/tuning.json --figure docs/costmodel/search.png

Every schedule of a kernel's pool is measured once; the tuner's search (`compiler/tune/proposals`)
then runs inside the pool, many times with different seeds, asking a model that has seen nothing of
the families of these kernels, or `random`.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from tilecast.compiler.target import native_machine
from tilecast.compiler.tune.proposals import Proposals
from tilecast.compiler.tune.sample_programs import read_program
from tilecast.compiler.tune.training_data import measured, read_scop
from tilecast.costmodel.data.samples import DataSet
from tilecast.costmodel.evaluation.evaluate import Measured
from tilecast.costmodel.features.nests import Array
from tilecast.costmodel.models.interface import CostModel
from tilecast.costmodel.models.load import new_model
from tilecast.passes.poly.rules.choice import RULES, RuleChoice
from tilecast.passes.poly.search.rule_space import RuleSpace

from .costmodel import __main__ as samples
from .machine import result_head

WORK = Path(__file__).parents[1] / "build" / "tuning"
FAMILIES = ("bert", "gpt2", "vit", "resnet", "mobilenet_v2", "lstm")
SCHEDULES = 120
MEASUREMENTS = 64
BATCH = 8
SEEDS = 10
GOAL = 0.95  # of the final quality


@dataclass
class Pool:
    """The measured schedules of one kernel: a space for searches that has nothing besides."""

    name: str
    space: RuleSpace
    choices: list[RuleChoice]
    ratios: Array  # time over that of the rules
    data: Measured
    model: CostModel | None

    def __post_init__(self) -> None:
        self._row = {str(c): k for k, c in enumerate(self.choices)}
        rows = [[repr(getattr(c, f.name)) for f in fields(RuleChoice)] for c in self.choices]
        self._fields = np.array(rows)

    @property
    def usual(self) -> RuleChoice:
        """The rules as they are."""
        return RULES

    def parse(self, text: str) -> RuleChoice:
        """The choice that `text` was made of."""
        return RuleChoice.parse(text)

    def defaults(self) -> Sequence[RuleChoice]:
        """What is tried first, as far as it is there."""
        return [c for c in self.space.defaults() if str(c) in self._row]

    def sample(self, rng: Random) -> RuleChoice:
        """Any."""
        return rng.choice(self.choices)

    def mutate(self, point: RuleChoice, rng: Random) -> RuleChoice:
        """The nearest to a mutant."""
        return self._nearest(self.space.mutate(point, rng), point, rng)

    def crossover(self, one: RuleChoice, other: RuleChoice, rng: Random) -> RuleChoice:
        """The nearest to a child."""
        return self._nearest(self.space.crossover(one, other, rng), None, rng)

    def _nearest(self, wanted: RuleChoice, but: RuleChoice | None, rng: Random) -> RuleChoice:
        texts = np.array([repr(getattr(wanted, f.name)) for f in fields(RuleChoice)])
        distance = (self._fields != texts).sum(axis=1) + np.array(
            [rng.random() / 2 for _ in self.choices]
        )
        if but is not None:
            distance[self._row[str(but)]] = np.inf
        return self.choices[int(distance.argmin())]

    def of(self, choice: RuleChoice) -> tuple[str, int] | None:
        """As `Programs.of`: the row."""
        row = self._row.get(str(choice))
        return None if row is None else (str(choice), row)

    def seconds(self, programs: Sequence[int]) -> Array | None:
        """As `Programs.seconds`."""
        if self.model is None:
            return None
        return self.model.seconds(self.data.candidates.chosen(np.array(programs)))

    def searched(self, seed: int) -> Array:
        """The least ratio after each of `MEASUREMENTS` measurements."""
        proposals = Proposals(self, self, Random(f"{self.name} {seed}"))
        proposals.told(RULES, 1.0)
        best, curve = 1.0, []
        while len(curve) < MEASUREMENTS:
            batch = proposals.batch(BATCH)
            if not batch:
                break
            for choice in batch:
                ratio = float(self.ratios[self._row[str(choice)]])
                proposals.told(choice, ratio)
                best = min(best, ratio)
                curve.append(best)
        curve += [best] * (MEASUREMENTS - len(curve))
        return np.array(curve[:MEASUREMENTS])


def choose(source: Path, count: int) -> None:
    """Copy kernels of the held-out families, those of every family in turns."""
    chosen: dict[str, list[Path]] = {family: [] for family in FAMILIES}
    for folder in sorted(source.iterdir()):
        program, _ = read_program(folder)
        if program.family in chosen and program.space == "rules":
            chosen[program.family].append(folder)
    rng = Random(0)
    for folders in chosen.values():
        rng.shuffle(folders)
    turns = [f for turn in zip(*chosen.values(), strict=False) for f in turn][:count]
    for folder in turns:
        wanted = [f for f in folder.iterdir() if f.suffix in (".mlir", ".npy", ".json")]
        target = WORK / "programs" / folder.name
        target.mkdir(parents=True, exist_ok=True)
        for file in wanted:
            shutil.copy(file, target)


def pools(training: Path) -> list[Pool]:
    """The measured kernels, with a model trained on other families."""
    data = measured(DataSet(WORK / "data"))
    with DataSet.opened(training) as opened:
        known = measured(opened)
    rows = np.array([k for k, f in enumerate(known.families) if f not in FAMILIES])
    model = new_model("ensemble")
    model.update(known.candidates.chosen(rows), known.seconds[rows])
    found = []
    for name in sorted(set(data.names)):
        part = data.chosen(np.flatnonzero(np.array(data.names) == name))
        if "rules" not in part.choices or len(part.choices) < 2 * BATCH:
            continue
        ratios = part.seconds / part.seconds[part.choices.index("rules")]
        program, text = read_program(WORK / "programs" / name)
        space = RuleSpace(read_scop(text), native_machine(), program.threads)
        choices = [RuleChoice.parse(c) for c in part.choices]
        found.append(Pool(name, space, choices, ratios, part, model))
    return found


def report(training: Path) -> dict[str, Any]:
    """Quality (best time of the pool over best so far) after each measurement, by guide."""
    kernels = pools(training)
    curves: dict[str, list[Array]] = {"model": [], "random": []}
    rows = []
    for pool in kernels:
        best, model, row = float(pool.ratios.min()), pool.model, {"schedules": len(pool.choices)}
        for guide in curves:
            pool.model = model if guide == "model" else None
            qualities = np.array([best / pool.searched(seed) for seed in range(SEEDS)])
            curves[guide].append(qualities.mean(axis=0))
            reached = qualities >= GOAL
            row[guide] = float(np.where(reached.any(1), reached.argmax(1) + 1, np.inf).mean())
        pool.model = model
        rows.append({"kernel": pool.name, "gain of the best": round(1 / best, 3), **row})
    rng = np.random.default_rng(0)
    summary = {}
    for guide, found in curves.items():
        stacked = np.array(found)
        draws = stacked[rng.integers(0, len(stacked), (1000, len(stacked)))].mean(axis=1)
        low, high = np.quantile(draws, [0.025, 0.975], axis=0)
        mean = stacked.mean(axis=0)
        above = mean >= GOAL * mean[-1]
        summary[guide] = {
            "mean": mean.round(4).tolist(),
            "low": low.round(4).tolist(),
            "high": high.round(4).tolist(),
            "measurements to 95% of the final mean": int(above.argmax()) + 1,
        }
    return {"kernels": rows, "curves": summary}


def draw(found: dict[str, Any], path: Path) -> None:
    """Quality against measurements."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    pyplot.figure(figsize=(6, 4))
    for guide, curve in found["curves"].items():
        x = range(1, MEASUREMENTS + 1)
        pyplot.plot(x, curve["mean"], label=f"guided by {guide}")
        pyplot.fill_between(x, curve["low"], curve["high"], alpha=0.15)
    pyplot.xlabel("schedules measured per kernel")
    pyplot.ylabel("best of all / best so far")
    pyplot.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    pyplot.savefig(path, dpi=80, bbox_inches="tight", metadata={"Software": None})
    pyplot.close()


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tuning", description=__doc__)
    parser.add_argument("phase", choices=["choose", "build", "measure", "report"])
    parser.add_argument("--programs", type=Path, default=samples.WORK / "programs")
    parser.add_argument("--kernels", type=int, default=18)
    parser.add_argument("--seconds", type=float, default=200.0)
    parser.add_argument("--data", type=Path, default=samples.FOLDER, help="to train the model on")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    data = DataSet(WORK / "data")
    if options.phase == "choose":
        choose(options.programs, options.kernels)
    elif options.phase == "build":
        samples.shown(samples.build(data, WORK, options.seconds, SCHEDULES, kind="rules"))
    elif options.phase == "measure":
        samples.measure(data, WORK, options.seconds)
    else:
        found = report(options.data)
        document = {
            **result_head("benchmarks.tuning"),
            **found,
        }
        for row in found["kernels"]:
            print(json.dumps(row))
        for guide, curve in found["curves"].items():
            print(
                guide, {k: v for k, v in curve.items() if isinstance(v, int)}, curve["mean"][7::8]
            )
        if options.json is not None:
            options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        if options.figure is not None:
            draw(found, options.figure)


if __name__ == "__main__":
    main()
