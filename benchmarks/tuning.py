"""How fast a search finds fast schedules: guided by a cost model that is corrected by what was
measured, by the model as it is, and by nobody.

    python -m benchmarks.tuning choose --programs build/costmodel/programs   # kernels, held out
    python -m benchmarks.tuning build --seconds 600      # their schedules; shares the machine
    python -m benchmarks.tuning measure --seconds 200    # needs the machine for itself
    python -m benchmarks.tuning report --data build/costmodel/data \
        --json benchmarks/results/tuning.json --figure docs/costmodel/search.png

Every schedule of a kernel's pool is measured once; the tuner's search (`compiler/tune/proposals`)
then runs inside the pool, many times with different seeds, asking a model that has seen nothing of
the families of these kernels, or nobody: as `tilecast tune` does, from the rules' own schedule, and
from any, which shows what the guide is worth where rules know nothing. Each search begins without
measurements of other kernels.
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
from tilecast.costmodel.evaluation.metrics import METRICS, Ranked
from tilecast.costmodel.features.nests import Array
from tilecast.costmodel.models.corrected import CorrectedModel
from tilecast.costmodel.models.interface import Candidates, CostModel
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
FEWEST = 2 * BATCH  # schedules of a pool: one that is measured whole at once shows nothing
GOAL = 0.95  # of the final quality
CORRECTED, MODEL, RANDOM = "model, corrected", "model", "random"
GUIDES = (CORRECTED, MODEL, RANDOM)
USUAL, LOST = "from the rules' schedule", "from any schedule"
STARTS = (USUAL, LOST)


@dataclass
class Answers:
    """What a model says about the schedules of one pool, asked once for all searches."""

    name: str
    rows: dict[bytes, int]
    scores: Array
    times: Array

    @staticmethod
    def of(model: CostModel, pool: Candidates) -> Answers:
        """Ask."""
        rows = {features.tobytes(): k for k, features in enumerate(pool.features)}
        return Answers(model.name, rows, model.predict(pool), model.seconds(pool))

    def _of(self, candidates: Candidates) -> list[int]:
        return [self.rows[features.tobytes()] for features in candidates.features]

    def predict(self, candidates: Candidates) -> Array:
        """As the model."""
        found: Array = self.scores[self._of(candidates)]
        return found

    def seconds(self, candidates: Candidates) -> Array:
        """As the model."""
        found: Array = self.times[self._of(candidates)]
        return found

    def update(self, candidates: Candidates, seconds: Array) -> None:
        """Nothing is learned: `CorrectedModel` does."""

    def save(self, folder: Path) -> None:
        """There is nothing to keep."""


@dataclass
class Pool:
    """The measured schedules of one kernel: a space for searches that has nothing besides."""

    name: str
    space: RuleSpace
    choices: list[RuleChoice]
    ratios: Array  # time over that of the rules
    data: Measured
    model: CostModel
    guide: CorrectedModel | None = None
    learns: bool = True
    start: RuleChoice = RULES

    def __post_init__(self) -> None:
        self._row = {str(c): k for k, c in enumerate(self.choices)}
        self._codes: dict[tuple[str, str], int] = {}
        self._fields = np.array([self._coded(c) for c in self.choices])

    def _coded(self, choice: RuleChoice) -> list[int]:
        """A number per field, equal for equal values."""
        values = [(f.name, repr(getattr(choice, f.name))) for f in fields(RuleChoice)]
        return [self._codes.setdefault(value, len(self._codes)) for value in values]

    @property
    def usual(self) -> RuleChoice:
        """What is known before the search."""
        return self.start

    def parse(self, text: str) -> RuleChoice:
        """The choice that `text` was made of."""
        return RuleChoice.parse(text)

    def defaults(self) -> Sequence[RuleChoice]:
        """What is tried first, as far as it is there; nothing of the kind from another start."""
        first = self.space.defaults() if self.start == RULES else []
        return [c for c in first if str(c) in self._row]

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
        distance = (self._fields != np.array(self._coded(wanted))).sum(axis=1)
        if but is not None:
            distance[self._row[str(but)]] = len(fields(RuleChoice)) + 1
        return self.choices[rng.choice(np.flatnonzero(distance == distance.min()).tolist())]

    def of(self, choice: RuleChoice) -> tuple[str, int] | None:
        """As `Programs.of`: the row."""
        row = self._row.get(str(choice))
        return None if row is None else (str(choice), row)

    def forecast(self, programs: Sequence[int]) -> tuple[Array, Array] | None:
        """As `Programs.forecast`."""
        if self.guide is None:
            return None
        return self.guide.forecast(self.data.candidates.chosen(np.array(programs)))

    def learn(self, programs: Sequence[int], ratios: Sequence[float]) -> None:
        """As `Programs.learn`."""
        if self.guide is not None and self.learns:
            rows = np.array(programs)
            self.guide.update(self.data.candidates.chosen(rows), self.data.seconds[rows])

    def searched(self, guide: str, seed: int, is_lost: bool) -> Array:
        """The least ratio after each of `MEASUREMENTS` measurements, the first being that of the
        rules' schedule or, `is_lost`, of any."""
        rng = Random(f"{self.name} {seed}")
        self.start = rng.choice(self.choices) if is_lost else RULES
        self.guide = None if guide == RANDOM else CorrectedModel(self.model)
        self.learns = guide == CORRECTED
        proposals = Proposals(self, self, rng)
        curve: list[float] = []
        batch = [self.start]
        while len(curve) < min(MEASUREMENTS, len(self.choices)) and batch:
            for choice in batch:
                ratio = float(self.ratios[self._row[str(choice)]])
                proposals.told(choice, ratio)
                curve.append(min([ratio, *curve[-1:]]))
            batch = proposals.batch(BATCH)
        curve += curve[-1:] * (MEASUREMENTS - len(curve))
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
        if "rules" not in part.choices or len(part.choices) < FEWEST:
            continue
        ratios = part.seconds / part.seconds[part.choices.index("rules")]
        program, text = read_program(WORK / "programs" / name)
        space = RuleSpace(read_scop(text), native_machine(), program.threads)
        choices = [RuleChoice.parse(c) for c in part.choices]
        answers = Answers.of(model, part.candidates)
        found.append(Pool(name, space, choices, ratios, part, answers))
    return found


def report(training: Path) -> dict[str, Any]:
    """Quality (best time of the pool over best so far) after each measurement, by guide."""
    kernels = pools(training)
    curves: dict[tuple[str, str], list[Array]] = {(s, g): [] for s in STARTS for g in GUIDES}
    rows = []
    for pool in kernels:
        best = float(pool.ratios.min())
        score = Ranked(
            pool.data.seconds,
            pool.model.predict(pool.data.candidates),
            pool.model.seconds(pool.data.candidates),
        )
        row: dict[str, Any] = {
            "kernel": pool.name,
            "threads": pool.space.threads,
            "schedules": len(pool.choices),
            "best over rules": round(1 / best, 3),
            "median over best": round(float(np.median(pool.ratios)) / best, 2),
            "spearman": round(METRICS["spearman"]([score]), 3),
        }
        for (start, guide), found in curves.items():
            seeds = range(SEEDS)
            times = [pool.searched(guide, seed, start == LOST) for seed in seeds]
            found.append(best / np.array(times))
            row[f"{start}: {guide}"] = round(float(measurements(found[-1]).mean()), 1)
        rows.append(row)
    return {
        "kernels": rows,
        "curves": {
            start: {guide: summary(np.array(curves[start, guide])) for guide in GUIDES}
            for start in STARTS
        },
    }


def measurements(qualities: Array) -> Array:
    """How many until the goal is reached, for each curve along the last axis; one more than there
    were where it never is."""
    reached = qualities >= GOAL
    count = np.where(reached.any(-1), reached.argmax(-1) + 1, MEASUREMENTS + 1)
    found: Array = count.astype(np.float64)
    return found


def summary(qualities: Array) -> dict[str, Any]:
    """Curves (kernels x seeds x measurements) as means over kernels with 95% intervals, and the
    measurements until the goal: mean over kernels, its interval, quantiles over single searches."""
    rng = np.random.default_rng(0)
    curves, counts = qualities.mean(axis=1), measurements(qualities)
    drawn = rng.integers(0, len(curves), (1000, len(curves)))
    low, high = np.quantile(curves[drawn].mean(axis=1), [0.025, 0.975], axis=0)
    least, most = np.quantile(counts.mean(axis=1)[drawn].mean(axis=1), [0.025, 0.975])
    return {
        "measurements to 95%": round(float(counts.mean()), 2),
        "interval": [round(float(least), 2), round(float(most), 2)],
        "quantiles 50, 90, 100%": np.quantile(counts, [0.5, 0.9, 1.0]).tolist(),
        "share that never got there": round(float((counts > MEASUREMENTS).mean()), 4),
        "mean": curves.mean(axis=0).round(4).tolist(),
        "low": low.round(4).tolist(),
        "high": high.round(4).tolist(),
    }


def draw(found: dict[str, Any], path: Path) -> None:
    """Quality against measurements."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    _, both = pyplot.subplots(1, 2, figsize=(10, 4), sharey=True)
    for axes, (start, curves) in zip(both, found["curves"].items(), strict=True):
        for guide, curve in curves.items():
            x = range(1, MEASUREMENTS + 1)
            count = curve["measurements to 95%"]
            axes.plot(x, curve["mean"], label=f"{guide}: 95% after {count:.1f}")
            axes.fill_between(x, curve["low"], curve["high"], alpha=0.15)
        axes.axhline(GOAL, color="k", linewidth=0.7)
        axes.set_title(start)
        axes.set_xlabel("schedules measured per kernel")
        axes.legend()
    both[0].set_ylabel("best of all / best so far")
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
        for start, curves in found["curves"].items():
            for guide, curve in curves.items():
                shown = {k: v for k, v in curve.items() if k not in ("mean", "low", "high")}
                print(start, guide, shown, curve["mean"][7::8])
        if options.json is not None:
            options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        if options.figure is not None:
            draw(found, options.figure)


if __name__ == "__main__":
    main()
