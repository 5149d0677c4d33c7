"""A pass of your own between those of tilecast: functions that change nothing the second time.

    before: %1 = graph.pointwise "relu"(%0) ; %2 = graph.pointwise "relu"(%1)
    after:  %1 = graph.pointwise "relu"(%0)        (uses of %2 read %1)

Run it: `python -m examples.custom_pass`.
"""

from __future__ import annotations

from dataclasses import dataclass

import tilecast
import torch
from tilecast.dialects.graph import PointwiseOp
from torch import nn
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

IDEMPOTENT = {"relu", "abs", "floor", "ceil", "round", "trunc", "sign"}


@dataclass(frozen=True)
class DropRepeatsPass(ModulePass):
    """Apply an idempotent function once."""

    name = "drop-repeats"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for inner in list(op.walk()):
            if not isinstance(inner, PointwiseOp) or inner.fn.data not in IDEMPOTENT:
                continue
            for outer in [use.operation for use in inner.result.uses]:
                if isinstance(outer, PointwiseOp) and outer.fn == inner.fn:
                    outer.result.replace_all_uses_with(inner.result)
                    outer.detach()
                    outer.erase()


def functions(model: nn.Module, inputs: tuple[torch.Tensor, ...]) -> list[str]:
    """The scalar functions of a model after the graph passes."""
    module = tilecast.compile(model, inputs, stop_after="simplify")
    return [op.fn.data for op in module.walk() if isinstance(op, PointwiseOp)]


def main() -> None:
    """Compile with and without the pass; verification holds both against PyTorch."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.ReLU(), nn.ReLU()).eval()
    inputs = (torch.randn(4, 16),)
    print("before:", functions(model, inputs))
    tilecast.register_pass(DropRepeatsPass, after="canonicalize")
    print("after: ", functions(model, inputs))
    print(tilecast.compile(model, inputs).verify())


if __name__ == "__main__":
    main()
