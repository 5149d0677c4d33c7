"""The order of all passes, in one list, and how a stage is run and its IR written down."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..dialects.errors import OptionError, PassError, TilecastError
from ..passes.added import with_added
from ..passes.timing import span
from .logging import debug_level
from .options import STAGES, environment

if TYPE_CHECKING:
    from xdsl.dialects.builtin import ModuleOp

    from ..costmodel.hardware import Machine
    from ..passes.context import CompileContext


@dataclass(frozen=True)
class Stage:
    """Passes that take the IR from one level to the next."""

    name: str
    passes: tuple[str, ...]


PIPELINE: tuple[Stage, ...] = (
    Stage(
        "simplify",
        (
            "canonicalize",
            "recognize-attention",
            "fold-constants",
            "fold-batch-norm",
            "quantize-weights",
            "lower-precision",
            "canonicalize",
            "limit-memory",
            "block-channels",
            "choose-convolutions",
            "lower-precision",
            "split-norm-groups",
        ),
    ),
    Stage("fuse", ("outline-control-flow", "fuse", "deduplicate-kernels")),
    Stage("structure", ("convert-graph-to-linalg",)),
    Stage("schedule", ("extract-scop", "schedule")),
    Stage(
        "loops",
        (
            "lower-scop",
            "lower-opaque",
            "split-buffers",
            "promote-buffers",
            "eliminate-common-subexpressions",
            "logistic-divisors",
            "join-reductions",
            "round-neighbours",
            "exchange-gathers",
            "shuffle-gathers",
            "interleave-scatters",
            "matrix-products",
            "stream-stores",
            "prefetch-rows",
        ),
    ),
    Stage("program", ("plan-memory",)),
)

# What is computed is the same on a GPU; who runs which iteration is not.
GPU_PASSES = {
    "schedule": ("tile-programs", "schedule-gpu"),
    "lower-scop": ("lower-scop", "inline-parts"),
}
GPU_PIPELINE = tuple(
    Stage(stage.name, tuple(new for old in stage.passes for new in GPU_PASSES.get(old, (old,))))
    for stage in PIPELINE
)

# Affine kernels: loops the user wrote instead of graph ops.
KERNEL_PIPELINE: tuple[Stage, ...] = (
    Stage("schedule", ("extract-affine", "autoschedule")),
    Stage(
        "loops",
        (
            "lower-scop",
            "promote-buffers",
            "eliminate-common-subexpressions",
            "eliminate-dead-values",
        ),
    ),
)
# With the user's own steps, which name the loops of the program as it was written.
EXTRACT_KERNEL = Stage("schedule", ("extract-affine",))


def pipeline_for(machine: Machine) -> tuple[Stage, ...]:
    """The stages of a model on its way to `machine`, registered passes among them."""
    stages = GPU_PIPELINE if machine.is_gpu else PIPELINE
    return tuple(Stage(stage.name, with_added(stage.passes)) for stage in stages)


def run_stage(stage: Stage, ctx: CompileContext, module: ModuleOp) -> None:
    """Apply the passes of a stage to `module`, in place."""
    for name in stage.passes:
        start = time.perf_counter()
        apply_pass(name, ctx, module)
        dump_pass(name, module, time.perf_counter() - start)


def apply_pass(name: str, ctx: CompileContext, module: ModuleOp) -> None:
    """Apply one pass to `module`, in place."""
    from ..passes.registry import load_pass  # brings in xDSL and isl, which cached models skip

    with defects_of(name):
        with span(name):
            load_pass(name)().apply(ctx, module)
        if debug_level() >= 2:
            module.verify()


@contextmanager
def defects_of(name: str) -> Iterator[None]:
    """Say which pass it was that raised what nobody expected."""
    try:
        yield
    except TilecastError:
        raise
    except Exception as error:
        raise PassError(
            f"pass {name} failed: {type(error).__name__}: {error}. This is a defect of tilecast; "
            "the IR before it can be had with dump_dir=",
            name,
        ) from error


def ir_file_name(stage: str) -> str:
    """The file name of the IR after a stage, such as 03-structure.mlir."""
    return f"{STAGES.index(stage):02d}-{stage}.mlir"


def write_text(folder: Path, name: str, text: str) -> None:
    """Write a dump file; OptionError where the folder cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise OptionError(f"cannot write {folder / name}: {error.strerror or error}") from error


def dump_pass(name: str, module: ModuleOp, seconds: float) -> None:
    """Write the IR after a pass to TILECAST_DUMP, numbered in order, with the time it took."""
    chosen = environment("TILECAST_DUMP")
    if not chosen:
        return
    folder = Path(chosen)
    serial = len(list(folder.glob("*.mlir"))) if folder.is_dir() else 0
    write_text(folder, f"{serial:03d}-{name}.mlir", f"// {seconds * 1e3:.1f} ms\n{module!s}\n")
