"""Tuning for GPUs without one: the contest under emulation, its refusal, choices by estimates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tilecast.compiler.cuda.device import has_device
from tilecast.compiler.cuda.nvcc import has_nvcc
from tilecast.compiler.job import model_job
from tilecast.compiler.logging import Progress
from tilecast.compiler.lowering import lower
from tilecast.compiler.options import resolve_options
from tilecast.compiler.records.best import gpu_compiler, recorded_schedules
from tilecast.compiler.runtime.toolchain import find_toolchain
from tilecast.compiler.target import resolve_target
from tilecast.compiler.tune.gpu_programs import GpuProgram, GpuPrograms
from tilecast.compiler.tune.model_tasks import KernelTask, kernel_tasks
from tilecast.compiler.tune.runner import CudaRunner, EstimateRunner, opened_runner
from tilecast.costmodel.features.gpu_work import GpuWork
from tilecast.costmodel.gpu_roofline import estimate
from tilecast.dialects.errors import IllegalScheduleError, OptionError
from tilecast.passes.poly.rules_gpu.choice import GpuChoice
from tilecast.passes.tile.gpu_space import GpuSpace
from torch import nn

MACHINE = resolve_target("sm_80")


def task(tmp_path: Path, module: nn.Module, x: torch.Tensor, **options: str) -> KernelTask:
    """The first kernel of a model."""
    settings = resolve_options({"target": "sm_80", "stop_after": "structure", **options})
    structure = lower(model_job(module.eval(), (x,), None, settings), Progress()).module
    return next(iter(kernel_tasks(structure, tmp_path, MACHINE, find_toolchain(), 1)))


def product() -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    return nn.Linear(24, 40).half(), torch.randn(20, 24).half()


@pytest.mark.parametrize(
    "text", ["rules", "tile=2x4x4x4x2, stages=4, blocks=108", "threads=64, warps=2, keys=32"]
)
def test_choices_are_their_text(text: str) -> None:
    assert str(GpuChoice.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["tile=2x4", "stages=17", "warps=x", "fast", "threads=1x2", "keys=7"]
)
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(IllegalScheduleError):
        GpuChoice.parse(text)


def test_choices_change_the_program(tmp_path: Path) -> None:
    kernel = task(tmp_path, *product())
    space = GpuSpace.of(kernel.program, MACHINE)
    assert set(space.values) == {"tile", "stages", "blocks"}
    programs = GpuPrograms(kernel.text, MACHINE)
    usual, wide = (programs.of(c) for c in (GpuChoice(), GpuChoice((2, 2, 2, 4, 2), 4)))
    assert usual is not None
    assert wide is not None
    assert usual[0] != wide[0]
    [work] = wide[1].works.values()
    assert work.threads == 128
    assert work.tensor >= 2 * 20 * 24 * 40
    assert wide[1].seconds > 0


class Attention(nn.Module):
    def forward(self, q: torch.Tensor) -> torch.Tensor:
        return nn.functional.scaled_dot_product_attention(q, q, q)


def test_choices_change_attention_and_shares_of_steps(tmp_path: Path) -> None:
    kernel = task(tmp_path, Attention(), torch.randn(1, 2, 70, 24).half())
    space = GpuSpace.of(kernel.program, MACHINE)
    assert set(space.values) == {"warps", "stages", "keys"}
    programs = GpuPrograms(kernel.text, MACHINE)
    made = [programs.of(c) for c in (GpuChoice(), GpuChoice(warps=2, keys=32))]
    works = [work for p in made if p for work in p[1].works.values()]
    assert [(work.threads, work.blocks) for work in works] == [(128, 4), (64, 6)]
    kernel = task(tmp_path, nn.Linear(3000, 40).half(), torch.randn(20, 3000).half())
    programs = GpuPrograms(kernel.text, MACHINE)
    made = [programs.of(GpuChoice(blocks=count)) for count in (1, 54)]
    whole, shared = (next(iter(p[1].works.values())) for p in made if p)
    assert whole.blocks < shared.blocks <= 54
    assert abs(whole.tensor / shared.tensor - 1) < 0.5


def test_estimates_know_what_is_slow() -> None:
    work = GpuWork(1e9, 0.0, 1e9, 1e8, blocks=4096, threads=128)
    usual = estimate(work, "sm_80", 0.5)
    assert usual.bound == "cache"
    assert estimate(work, "sm_80", 0.5, spills=256).seconds > usual.seconds
    assert estimate(work, "sm_80", 1 / 16).seconds > usual.seconds
    assert estimate(replace(work, blocks=8), "sm_80", 0.5).seconds > usual.seconds
    assert estimate(work, "sm_90", 0.5).seconds < usual.seconds


def test_candidates_are_checked_and_timed_in_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = task(tmp_path, *product())
    contest = CudaRunner(1, emulate=True).contest(kernel, gpu_compiler(False))
    right, bad = contest.records(["tile=1x2x1x2x4", "stages=9"])
    assert right.failure is None
    assert right.repeats == 50
    assert right.seconds > 0
    assert right.baseline > 0
    assert bad.failure == "illegal"

    emitted: Callable[[GpuProgram, str], str] = GpuProgram.cuda

    def planted(self: GpuProgram, prefix: str) -> str:
        text = emitted(self, prefix)
        assert "__syncthreads();" in text
        return text.replace("__syncthreads();", ";")

    monkeypatch.setattr(GpuProgram, "cuda", planted)
    [wrong] = contest.records(["tile=1x2x1x2x4"])
    assert (wrong.failure, wrong.seconds) == ("crash", None)


@pytest.mark.slow
def test_products_with_quantized_weights_are_tuned(tmp_path: Path) -> None:
    """Each candidate reads the weight in an order of its own."""
    kernel = task(tmp_path, nn.Linear(96, 40), torch.randn(20, 96), weights="u4:g32")
    space = GpuSpace.of(kernel.program, MACHINE)
    assert set(space.values) == {"tile", "stages", "blocks"}
    assert all(tile[:2] == (1, 4) for tile in space.values["tile"])
    assert len(space.values["tile"]) > 4
    contest = CudaRunner(1, emulate=True).contest(kernel, gpu_compiler(False))
    tile = "x".join(map(str, space.values["tile"][-1]))
    found = list(contest.records([f"tile={tile}, stages=2", f"tile={tile}, blocks=3"]))
    assert [record.failure for record in found] == [None, None]
    texts = [contest.programs.of(GpuChoice.parse(record.steps)) for record in found]
    assert texts[0] is not None
    assert texts[1] is not None
    assert "tc_lock" not in texts[0][1].cuda("a_")
    assert "tc_lock" in texts[1][1].cuda("a_")


def test_the_weight_may_be_expanded_first(tmp_path: Path) -> None:
    kernel = task(tmp_path, nn.Linear(96, 40).half(), torch.randn(20, 96).half(), weights="u4:g32")
    tiles = GpuSpace.of(kernel.program, MACHINE).values["tile"]
    programs = GpuPrograms(kernel.text, MACHINE)
    made = [programs.of(GpuChoice(tile)) for tile in tiles]
    counts = {tile: len(p[1].works) for tile, p in zip(tiles, made, strict=True) if p}
    assert {count for tile, count in counts.items() if tile[0] == 2} == {2}
    assert {count for tile, count in counts.items() if tile[0] == 1} == {1}


@pytest.mark.slow
@pytest.mark.needs_nvcc
@pytest.mark.skipif(not has_nvcc() or has_device(), reason="needs nvcc, and no GPU")
def test_no_device_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="expected a GPU, found none"):
        CudaRunner(1).contest(task(tmp_path, *product()), gpu_compiler(False))


def test_runners_have_names() -> None:
    with opened_runner("estimate", MACHINE) as runner:
        assert isinstance(runner, EstimateRunner)
    with pytest.raises(OptionError, match="local, cuda or estimate"), opened_runner("x", MACHINE):
        pass


@pytest.mark.slow
@pytest.mark.needs_nvcc
@pytest.mark.skipif(not has_nvcc(), reason="needs nvcc")
@pytest.mark.parametrize("weights", [None, "u4:g64"])
def test_estimated_schedules_are_taken(
    weights: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`tune` with the estimates of nvcc's reports; the next compilation takes what it found."""
    from tilecast.compiler.tune.model_tuning import tune_model

    torch.manual_seed(0)
    model, x = nn.Linear(512, 48).half().eval(), torch.randn(512, 512).half()
    monkeypatch.setenv("TILECAST_CACHE_DIR", str(tmp_path))
    settings = resolve_options({"target": "sm_80", "tune": "12", "weights": weights})
    job, toolchain = model_job(model, (x,), None, settings), find_toolchain()
    run = tune_model(job, toolchain, None, 0, "estimate")
    assert run.measured >= 8
    assert not run.failed
    schedules = recorded_schedules(tmp_path, MACHINE, toolchain.identity, 1)
    assert bool(schedules) == (run.gain >= 1.1)
    usual, tuned = (lower(job, Progress(), s).sources for s in ({}, schedules))
    assert (usual != tuned) == bool(schedules)
