"""Faults put into single passes are found where they are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from tilecast.compiler.bisect import Culprit, bisect
from tilecast.compiler.cli import main
from tilecast.compiler.job import model_job
from tilecast.compiler.lowering import Lowered
from tilecast.compiler.options import resolve_options
from tilecast.compiler.runtime.toolchain import find_toolchain
from tilecast.dialects.graph import PointwiseOp
from tilecast.passes.graph.canonicalize import CanonicalizePass
from tilecast.passes.loops.promote_buffers import PromoteBuffersPass
from tilecast.passes.poly.extraction.extract_scop import ExtractScopPass
from torch import Tensor, nn
from xdsl.dialects import arith
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.rewriter import Rewriter


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x).exp() + 1.0


def culprit() -> Culprit | None:
    settings = resolve_options({"cache": False, "threads": 1, "target": "x86-64-v3"})
    job = model_job(Small().eval(), (torch.randn(3, 6),), None, settings)
    return bisect(job, find_toolchain())


def after(pass_class: type[Any], change: Any, patch: pytest.MonkeyPatch) -> None:
    """Let `change` follow the pass."""
    original = pass_class.apply

    def apply(self: Any, ctx: Any, op: ModuleOp) -> None:
        original(self, ctx, op)
        change(op)

    patch.setattr(pass_class, "apply", apply)


def negate(module: ModuleOp) -> None:
    for op in module.walk():
        if isinstance(op, PointwiseOp) and op.fn.data == "exp":
            op.properties["fn"] = StringAttr("neg")


def subtract(module: ModuleOp) -> None:
    for op in list(module.walk()):
        if isinstance(op, arith.AddfOp):
            Rewriter.replace_op(op, arith.SubfOp(op.lhs, op.rhs, result_type=op.result.type))


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    assert culprit() is None


def test_a_wrong_graph_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    after(CanonicalizePass, negate, monkeypatch)
    found = culprit()
    assert found is not None
    assert (found.pass_name, found.kernel) == ("canonicalize", "main")
    assert '"exp"' in found.before
    assert '"exp"' not in found.after


def test_a_wrong_pass_over_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    after(PromoteBuffersPass, subtract, monkeypatch)
    found = culprit()
    assert found is not None
    assert (found.pass_name, found.kernel) == ("promote-buffers", "linear_exp_add_0")


def test_wrong_statements_show_when_they_are_lowered(monkeypatch: pytest.MonkeyPatch) -> None:
    after(ExtractScopPass, subtract, monkeypatch)
    found = culprit()
    assert found is not None
    assert (found.pass_name, found.step) == ("lower-scop", "")


def test_wrong_c(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Lowered.emit

    def emit(self: Lowered, name: str) -> None:
        original(self, name)
        self.sources.update(
            {f: re.sub(r"\b0x1p\+?0f|\b1\.0f", "2.0f", t) for f, t in self.sources.items()}
        )

    monkeypatch.setattr(Lowered, "emit", emit)
    found = culprit()
    assert found is not None
    assert found.pass_name == "emit"


def test_the_command_writes_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    after(CanonicalizePass, negate, monkeypatch)
    saved = tmp_path / "small.pt2"
    torch.export.save(torch.export.export(Small().eval(), (torch.randn(3, 6),)), saved)
    folder = tmp_path / "repro"
    result = CliRunner().invoke(main, ["bisect", str(saved), "-o", str(folder)])
    assert result.exit_code == 3, result.output
    assert result.output.startswith("canonicalize changes main: found ")
    assert sorted(p.name for p in folder.iterdir()) == ["README", "after.mlir", "before.mlir"]
    assert "tilecast-opt before.mlir -p canonicalize" in (folder / "README").read_text()
