"""`compile(tune=...)` and `tilecast tune`: the kernels of a model, searched into a database."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from ...costmodel.features.hardware import Hardware
from ...costmodel.models.corrected import CorrectedModel
from ...costmodel.models.default import chosen_model
from ..job import Job
from ..logging import Progress
from ..lowering import lower
from ..probe.target_speeds import target_speeds
from ..records.best import RECORDS, RecordedSchedules, gpu_compiler
from ..records.database import Database
from ..records.record import target_key
from ..runtime.cache import open_store
from ..runtime.toolchain import Toolchain
from .budget import TuningBudget
from .model_tasks import kernel_tasks
from .runner import LOCAL, EstimateRunner, opened_runner
from .tuner import TuningRun

RANKING = "pretrained"  # orders candidates; a wrong order costs measurements, not results


def tune_model(
    job: Job,
    toolchain: Toolchain,
    database: Path | None = None,
    seed: int = 0,
    runner: str = LOCAL,
) -> TuningRun:
    """Measure schedules of the model's kernels within the budget `settings.tune`.

    Interrupted, it returns with what was measured until then still in the database.
    """
    settings, machine = job.settings, job.machine
    budget = TuningBudget.parse(str(settings.tune))
    early = job.with_options(stop_after="structure", dump_dir=None)
    structure, threads = lower(early, Progress()).module, job.threads
    path = database or open_store(settings.cache).root / RECORDS
    with (
        opened_runner(runner, machine) as measuring,
        Database(path) as opened,
        TemporaryDirectory(prefix="tilecast-tune-") as folder,
    ):
        is_estimated = isinstance(measuring, EstimateRunner)
        compiler = gpu_compiler(is_estimated) if machine.is_gpu else toolchain.identity
        run = TuningRun(
            RecordedSchedules(opened, target_key(machine), compiler, threads),
            corrected(job),
            Hardware(machine, target_speeds(machine)),
            budget,
            lambda line: print(f"  {line}", file=sys.stderr, flush=True),
            measuring,
            seed,
        )
        run.tune(list(kernel_tasks(structure, Path(folder), machine, toolchain, threads)))
    return run


def corrected(job: Job) -> CorrectedModel | None:
    """The model that orders candidates and learns from their times; GPUs have none."""
    model = None if job.machine.is_gpu else chosen_model(job.settings.cost_model or RANKING)
    return None if model is None else CorrectedModel(model)
