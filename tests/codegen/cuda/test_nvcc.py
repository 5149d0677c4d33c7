"""nvcc takes the emitted files without warnings, for both targets."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import tilecast
import torch
from tilecast.compiler.cuda.nvcc import build_cubin, disassembler, has_nvcc, instructions
from torch import nn

TARGETS = ("sm_80", "sm_90")


class Layer(nn.Module):
    """A layer of a transformer."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.o = (nn.Linear(width, width) for _ in range(4))
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        split = (batch, length, self.heads, width // self.heads)
        q, k, v = (part(x).view(split).transpose(1, 2) for part in (self.q, self.k, self.v))
        y = nn.functional.scaled_dot_product_attention(q, k, v)
        x = x + self.o(y.transpose(1, 2).reshape(x.shape))
        return x + self.down(nn.functional.gelu(self.up(self.norm(x))))


@pytest.mark.needs_nvcc
@pytest.mark.slow
@pytest.mark.skipif(not has_nvcc(), reason="needs nvcc")
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("dtype", "weights", "rows", "activations"),
    [
        (torch.float32, None, 128, "f32"),
        (torch.float16, None, 128, "f32"),
        (torch.bfloat16, None, 1, "f32"),
        (torch.float32, "u4:g128", 1, "f32"),
        (torch.float32, "e3m2:mx", 16, "f32"),
        (torch.float32, "u3:g64", 128, "f32"),
        (torch.float32, "u4:g128", 1, "int8"),
        (torch.float16, "i8", 128, "int8"),
        (torch.float32, "u5:g64:zf16", 128, "int8"),
    ],
    ids=["f32", "f16", "bf16-row", "u4-row", "e3m2", "u3", "u4-i8-row", "i8-i8", "u5-i8"],
)
def test_contractions_have_no_spills(
    dtype: torch.dtype, weights: str | None, rows: int, activations: str, target: str
) -> None:
    """Wide copies, tensor cores where they can be used, no local memory."""
    torch.manual_seed(0)
    model, x = Layer(256, 4).eval().to(dtype), torch.randn(1, rows, 256).to(dtype)
    sources = tilecast.compile(
        model, (x,), target=target, weights=weights, activations=activations, stop_after="emit"
    )
    headers = {name: text for name, text in sources.items() if name.endswith(".h")}
    products = 0
    for name, text in sources.items():
        if not name.endswith(".cu"):
            continue
        cubin = build_cubin(text, target, headers)
        assert cubin.warnings == ""
        for report in cubin.reports:
            assert (report.spill_bytes, report.stack_bytes) == (0, 0), report
        if disassembler() is None or not cubin.reports:
            continue
        for kernel, opcodes in instructions(cubin).items():
            assert not [op for op in opcodes if op.startswith(("LDL", "STL"))], kernel
            copies = [op for op in opcodes if op.startswith("LDGSTS")]
            if "linear" in kernel and copies:
                products += 1
                assert any(op.endswith("128") for op in copies), kernel
                narrow = dtype != torch.float32 or weights is not None
                wanted = "IMMA" if activations == "int8" else "HMMA" if narrow else "FFMA"
                assert any(op.startswith(wanted) for op in opcodes), kernel
    assert products >= 3 or disassembler() is None


class Sorted(nn.Module):
    """Opaque kernels, a row reduction, a running sum."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return torch.sort(x, dim=-1)[0], torch.softmax(x, -1), torch.cumsum(x, 1), x.amax()


def models() -> dict[str, tuple[nn.Module, tuple[torch.Tensor]]]:
    network = nn.Sequential(nn.Linear(33, 65), nn.LayerNorm(65), nn.GELU(), nn.Linear(65, 17))
    return {"mlp": (network, (torch.randn(7, 33),)), "sorted": (Sorted(), (torch.randn(5, 37),))}


@pytest.mark.needs_nvcc
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("nvcc") is None, reason="needs nvcc")
def test_nvcc_accepts_the_kernels(tmp_path: Path) -> None:
    torch.manual_seed(0)
    for name, (model, inputs) in models().items():
        sources = tilecast.compile(
            model.eval(), inputs, target="sm_80", name=name, stop_after="emit"
        )
        for file, text in sources.items():
            (tmp_path / file).write_text(text)
    files = sorted(path.name for path in tmp_path.glob("*.cu"))
    flags = [f"-gencode=arch=compute_{t[3:]},code={t}" for t in TARGETS]
    command = ["nvcc", "-std=c++17", "-fmad=false", "-Werror", "all-warnings", *flags, "-c", *files]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
