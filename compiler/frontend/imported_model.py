"""What an import gives: the IR, its weights, and what inputs and outputs stand for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch.utils._pytree import TreeSpec
from xdsl.dialects.builtin import ModuleOp

from ...dialects.weights import WeightStore


@dataclass(frozen=True)
class TensorSpec:
    """One tensor input of the model: its name as a C identifier, type and shape."""

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]


@dataclass(frozen=True)
class OutputSpec:
    """One leaf of the model's output.

    kind "result": result `index` of main; "input": tensor input `index`, passed through;
    "constant": the Python value `constant`.
    """

    kind: Literal["result", "input", "constant"]
    index: int = 0
    constant: int | float | bool | str | None = None


@dataclass(frozen=True)
class ImportedModel:
    """A model as IR. `main` takes `inputs` in order and returns the "result" outputs.

    `in_spec` describes (args, kwargs); `input_positions` are the flattened positions there of
    the tensors in `inputs` (Python constants make up the rest). `mutations` are the new values of
    tensor inputs that the model changes in place, and the numbers of these inputs.
    """

    module: ModuleOp
    weights: WeightStore
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[OutputSpec, ...]
    in_spec: TreeSpec
    out_spec: TreeSpec
    input_positions: tuple[int, ...]
    mutations: tuple[tuple[OutputSpec, int], ...] = ()
