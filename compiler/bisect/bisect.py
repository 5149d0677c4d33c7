"""Find the first pass that changes what a model means, by evaluating the IR after each of them.

Graph and linalg are evaluated as whole models against eager PyTorch, loops kernel by kernel against
their linalg form, and C last. Only kernels whose C is wrong are looked at closely.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from ...dialects.errors import PassError, RefusedSourceError, TilecastError
from ...dialects.poly import ScopOp
from ...dialects.reference import graph as graph_meaning
from ...dialects.reference import linalg as linalg_meaning
from ..frontend.tensor_types import to_numpy
from ..job import Job
from ..logging import Progress
from ..lowering import Lowered, lower
from ..pipeline import Stage, pipeline_for, run_stage
from ..runtime.cache import open_store
from ..runtime.library import Library, call_units
from ..runtime.toolchain import Toolchain, build_library
from ..verify.artifact import verify_modules
from ..verify.compare import compare
from ..verify.definite import DefiniteInterpreter
from ..verify.eager import DoubleInterpreter, run_program
from ..verify.model import fresh_leaves
from ..verify.report import CheckResult
from .crash import crashed
from .culprit import WHOLE, Culprit
from .kernel_meaning import first_wrong_step, loops_result

Array = npt.NDArray[Any]
GRAPH_STAGES = ("simplify", "fuse")
LOOP_STAGES = ("loops", "program")


@dataclass
class _Bisection:
    """One model between its passes. `suspects` are the kernels whose C is wrong."""

    job: Job
    lowered: Lowered
    suspects: set[str]
    seed: int
    scops: dict[str, ScopOp] = field(default_factory=dict)
    structure: ModuleOp | None = None

    def __post_init__(self) -> None:
        changed = self.lowered.signature.changed
        self.inputs = fresh_leaves(self.job.leaves, self.seed)
        program = self.job.program
        self.wide = run_program(program, self.inputs, DoubleInterpreter, changed)
        self.native = run_program(program, self.inputs, DefiniteInterpreter, changed)

    def run(self) -> Culprit | None:
        """Apply pass after pass until one is wrong."""
        module = self.lowered.module
        first = self.whole(graph_meaning.evaluate)
        if first is not None:
            return Culprit("import", WHOLE, first, str(self.job.program.graph), str(module))
        for stage in pipeline_for(self.lowered.ctx.machine):
            for name in stage.passes:
                before = str(module)
                run_stage(Stage(stage.name, (name,)), self.lowered.ctx, module)
                found = self.check(stage.name, name, before)
                if found is not None:
                    return found
            if stage.name == "structure":
                self.structure = module.clone()
        return None

    def check(self, stage: str, name: str, before: str) -> Culprit | None:
        """Whether pass `name`, which ran just now, is the one."""
        module = self.lowered.module
        if stage in GRAPH_STAGES or stage == "structure":
            meaning = linalg_meaning.evaluate if stage == "structure" else graph_meaning.evaluate
            wrong = self.whole(meaning)
            return None if wrong is None else Culprit(name, WHOLE, wrong, before, str(module))
        if name == "extract-scop":
            scops = [op for op in module.ops if isinstance(op, ScopOp)]
            self.scops = {op.sym_name.data: op.clone() for op in scops}
        if stage not in LOOP_STAGES:
            return None
        for kernel in [op for op in module.ops if isinstance(op, FuncOp)]:
            label = kernel.sym_name.data
            if label not in self.suspects:
                continue
            wrong = loops_result(self.linalg(label), kernel, self.seed)
            if wrong is None:
                continue
            culprit = Culprit(name, label, wrong, before, str(module))
            return self.blame_schedule(culprit) if name == "lower-scop" else culprit
        return None

    def blame_schedule(self, culprit: Culprit) -> Culprit:
        """Lowering under fewer steps tells a wrong schedule from a wrong lowering."""
        scheduled = ModuleOp([])
        for op in _parsed(culprit.before).ops:
            if isinstance(op, ScopOp) and op.sym_name.data == culprit.kernel:
                scheduled = ModuleOp([op.clone()])
        plain = self.scops.get(culprit.kernel)
        scop = scheduled.body.block.first_op
        if plain is None or not isinstance(scop, ScopOp) or scop.schedule is None:
            return culprit
        step = first_wrong_step(self.linalg(culprit.kernel), plain, scop.schedule.data, self.seed)
        return culprit if not step else replace(culprit, step=step)

    def linalg(self, name: str) -> FuncOp:
        """A kernel at the linalg level."""
        assert self.structure is not None
        functions = (op for op in self.structure.ops if isinstance(op, FuncOp))
        return next(op for op in functions if op.sym_name.data == name)

    def whole(self, evaluate: Callable[..., list[Array]]) -> CheckResult | None:
        """The first output of the model that is wrong under `evaluate`."""
        signature, ctx = self.lowered.signature, self.lowered.ctx
        arrays = [to_numpy(self.inputs[k].contiguous()) for k in signature.positions]
        found = evaluate(self.lowered.module, ctx.weights, arrays)
        for k, leaf in enumerate(signature.computed):
            if leaf.kind != "result":
                continue
            reference, native = to_numpy(self.wide[k]), to_numpy(self.native[k])
            value = np.asarray(found[leaf.index]).astype(native.dtype)
            result = compare("model", f"output {k}", value, reference, native, 1)
            if not result.passed:
                return result
        return None


def _parsed(text: str) -> ModuleOp:
    """IR that was printed a moment ago."""
    from ...passes.context import CompileContext
    from ..ir_text import parse_ir

    return parse_ir(CompileContext(), text, "the IR before the pass")


def bisect(job: Job, toolchain: Toolchain, seed: int = 0) -> Culprit | None:
    """The first pass that fails, or makes the model wrong for random inputs; None where all is
    right."""
    try:
        wrong, lowered = wrong_results(job, toolchain, seed)
    except (PassError, RefusedSourceError) as error:
        return crashed(error, job)
    if not wrong:
        return None
    suspects = {result.name.partition("[")[0] for result in wrong if result.kind == "kernel"}
    culprit = _Bisection(job, Lowered.of(job), suspects, seed).run()
    if culprit is not None:
        return culprit
    worst = wrong[0]
    kernel = worst.name.partition("[")[0] if worst.kind == "kernel" else WHOLE
    return Culprit("emit", kernel, worst, str(lowered.module), "\n".join(lowered.sources.values()))


def wrong_results(job: Job, toolchain: Toolchain, seed: int) -> tuple[list[CheckResult], Lowered]:
    """The checks that fail for the compiled model, kernels first, and the model."""
    settings = job.settings
    lowered = lower(job, Progress(settings.progress))
    artifact = lowered.artifact(toolchain.identity, toolchain.flags(job.machine))
    units = {**artifact.sources, **call_units(settings.name, job.machine)}
    store = open_store(settings.cache)
    content = build_library(units, toolchain, job.machine, store)
    with store.scratch_file(content) as path:
        library = Library(path, artifact.name, artifact.weights, artifact.threads)
        try:
            report = verify_modules(
                artifact, library, job.program, job.leaves, lowered.structure, lowered.loops, seed
            )
        except TilecastError as error:  # results that depend on the number of threads
            name = str(error)[:200]
            return [CheckResult("model", name, "", 0, 0, 0, 0, 0, 0, (), 0, 0)], lowered
    return [result for result in report.results if not result.passed], lowered
