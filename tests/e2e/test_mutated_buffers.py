"""Buffers that a model changes keep their values between calls, as those of eager modules do."""

from __future__ import annotations

from pathlib import Path

import tilecast
import torch
from torch import Tensor, nn


class Running(nn.Module):
    """A cache filled through a view, a counter, and a buffer that nothing changes."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.project = nn.Linear(6, 6)
        self.register_buffer("cache", torch.zeros(5, 6))
        self.register_buffer("count", torch.zeros(1, dtype=torch.int64), persistent=False)
        self.register_buffer("scale", torch.full((6,), 0.5))

    def forward(self, x: Tensor, *, gain: Tensor) -> Tensor:
        self.cache[:, :].index_copy_(0, self.count, self.project(x))
        self.count.add_(1)
        return self.cache.sum(0) * self.scale * gain + self.count


def example() -> tuple[tuple[Tensor], dict[str, Tensor]]:
    return (torch.ones(1, 6),), {"gain": torch.ones(6)}


def steps(seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(1, 6, generator=generator) for _ in range(5)]


def test_states_follow_eager_and_can_be_reset(cache_folder: Path) -> None:
    compiled = tilecast.compile(Running().eval(), *example())
    assert list(compiled.states) == ["cache", "count"]
    place = compiled.states["cache"].data_ptr()
    assert compiled.artifact.in_place == ((0, 0),)  # the cache is written where it is
    for seed in (1, 2):
        eager, gain = Running().eval(), torch.full((6,), 2.0)
        for x in steps(seed):
            torch.testing.assert_close(compiled(x, gain=gain), eager(x, gain=gain))
        torch.testing.assert_close(compiled.states["cache"], eager.cache)
        assert compiled.states["cache"].data_ptr() == place
        assert int(compiled.states["count"]) == 5
        compiled.reset()
        assert int(compiled.states["count"]) == 0


def test_a_package_keeps_states(cache_folder: Path, tmp_path: Path) -> None:
    compiled = tilecast.compile(Running().eval(), *example(), name="running")
    compiled(torch.ones(1, 6), gain=torch.ones(6))  # what is saved are the first values
    loaded = tilecast.load(compiled.save(tmp_path / "out"))
    loaded.verify()
    eager, gain = Running().eval(), torch.ones(6)
    place = loaded.states["states_0"].data_ptr()
    for x in steps(3):
        torch.testing.assert_close(loaded(x, gain=gain), eager(x, gain=gain))
    torch.testing.assert_close(loaded.states["states_0"], eager.cache)
    assert loaded.states["states_0"].data_ptr() == place
    header = (tmp_path / "out" / "include" / "running.h").read_text()
    assert "its next value is output 0 (which may be the same memory)" in header


def test_an_exported_program_with_changed_buffers(cache_folder: Path) -> None:
    args, kwargs = example()
    program = torch.export.export(Running().eval(), args, kwargs)
    for given in (program, program.run_decompositions({})):
        compiled, eager = tilecast.compile(given, args, kwargs), Running().eval()
        for x in steps(4):
            torch.testing.assert_close(compiled(x, **kwargs), eager(x, **kwargs))
