"""Which format for which layer: the least error that a budget allows, as an integer program.

in:  a model, calibration inputs, candidate formats, one budget (average bits, bytes, or seconds)
out: a format per layer; the Pareto front from the cheapest choice to the best

What a layer loses in a format is measured: the model runs with that one weight quantized, and the
squared error of its outputs is counted. Losses of several layers are taken to add up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array
from torch import Tensor
from torch.export import ExportedProgram
from torch.utils._pytree import tree_leaves

from ...costmodel.speeds import Speeds
from ...dialects.errors import InvalidInputError, OptionError
from ...dialects.quant import QuantizedTensor, WeightFormat, parse_format
from .calibration import Calibration, input_moments
from .model import Method, linear_weights, quantized

CANDIDATES = ("u2:g32", "u3:g32", "u4:g32", "nf4:g32", "u5:g64", "u6:g64", "u8:g128")
Doubles = npt.NDArray[np.float64]
Unit = Literal["bits", "bytes", "seconds"]


@dataclass(frozen=True)
class Choice:
    """One point of the front: a format per layer, the predicted error and all three costs.

    `error` is the squared error of the outputs over their square; `bits` the average of a weight.
    """

    formats: Mapping[str, str]
    error: float
    bits: float
    bytes: float
    seconds: float

    def spec(self) -> str:
        """The choice as `weights=` takes it."""
        return ",".join(f"{layer}={format}" for layer, format in self.formats.items())


class Allocation:
    """Measured losses and predicted costs of every layer in every candidate format."""

    def __init__(
        self,
        model: Any,
        calibration: Calibration,
        speeds: Speeds,
        *,
        candidates: Sequence[str] = CANDIDATES,
        method: Method = "mse",
        threads: int = 1,
    ) -> None:
        """Quantize each layer in each format and measure; OptionError without a linear layer."""
        self.formats = [parse_format(text) for text in candidates]
        samples = list(calibration)
        weights = linear_weights(model)
        if not weights:
            raise OptionError("the model has no linear layer of floats to choose a format for")
        moments = input_moments(model, samples, list(weights))
        self.tensors: list[list[QuantizedTensor]] = []
        self.names = list(weights)
        self.shapes = [tuple(weights[name].shape) for name in self.names]
        for name in self.names:
            array = np.ascontiguousarray(weights[name].detach().cpu().float().numpy())
            self.tensors.append([quantized(array, f, method, moments[name]) for f in self.formats])
        self.losses = measured_losses(model, samples, weights, self.tensors)
        shape = (len(self.names), len(self.formats))
        self.bits, self.seconds = np.empty(shape), np.empty(shape)
        for k, (rows, columns) in enumerate(self.shapes):
            for f, format in enumerate(self.formats):
                self.bits[k, f] = format.bits(rows, columns) * rows * columns
                self.seconds[k, f] = product_seconds(format, rows, columns, speeds, threads)

    def choose(self, budget: float, unit: Unit) -> Choice:
        """The choice of least loss whose cost is at most `budget`; OptionError if none is."""
        cost = self.costs(unit)
        least = float(cost.min(axis=1).sum())
        if least > budget * (1 + 1e-12):
            raise OptionError(
                f"budget of {budget:.4g} {unit}: the smallest candidates already need {least:.4g}; "
                "add formats of fewer bits or raise the budget"
            )
        return self.at(solve(self.losses, cost, budget))

    def costs(self, unit: Unit) -> Doubles:
        """Cost per layer and format; those of "bits" add up to the average of a weight."""
        if unit == "seconds":
            return self.seconds
        total = sum(rows * columns for rows, columns in self.shapes)
        return self.bits / total if unit == "bits" else self.bits / 8

    def at(self, picks: Sequence[int]) -> Choice:
        """The choice of format `picks[k]` for layer k."""
        rows = np.arange(len(self.names))
        bits = float(self.bits[rows, picks].sum())
        return Choice(
            {
                name.removesuffix(".weight"): str(self.formats[pick])
                for name, pick in zip(self.names, picks, strict=True)
            },
            error=float(self.losses[rows, picks].sum()),
            bits=bits / sum(rows * columns for rows, columns in self.shapes),
            bytes=bits / 8,
            seconds=float(self.seconds[rows, picks].sum()),
        )

    def front(self, unit: Unit, points: int = 12) -> list[Choice]:
        """Choices at budgets from the cheapest to the best, without those that another beats."""
        cost = self.costs(unit)
        low, high = float(cost.min(axis=1).sum()), float(cost.max(axis=1).sum())
        found: list[Choice] = []
        for budget in np.linspace(low, high, points):
            choice = self.choose(float(budget) * (1 + 1e-9), unit)
            if not found or choice.error < found[-1].error:
                found.append(choice)
        return found

    def tensors_of(self, choice: Choice) -> dict[str, QuantizedTensor]:
        """The quantized weights of a choice, by parameter name."""
        found = {}
        for name, options in zip(self.names, self.tensors, strict=True):
            spelling = choice.formats[name.removesuffix(".weight")]
            found[name] = next(t for t in options if str(t.format) == spelling)
        return found


def solve(losses: Doubles, cost: Doubles, budget: float) -> list[int]:
    """For each row the column, so that costs stay within `budget` and losses are least (HiGHS)."""
    layers, formats = losses.shape
    one_each = csr_array(np.kron(np.eye(layers), np.ones((1, formats))))
    scale = float(losses.max()) or 1.0
    found = milp(
        (losses / scale).ravel(),
        integrality=np.ones(losses.size),
        bounds=Bounds(0, 1),
        constraints=[
            LinearConstraint(one_each, 1, 1),
            LinearConstraint((cost / budget).reshape(1, -1), -np.inf, 1 + 1e-12),
        ],
    )
    if found.x is None:
        raise InvalidInputError(f"no allocation was found: {found.message}")
    return [int(k) for k in np.argmax(found.x.reshape(layers, formats), axis=1)]


def measured_losses(
    model: Any,
    samples: Sequence[tuple[Any, ...]],
    weights: Mapping[str, Tensor],
    tensors: Sequence[Sequence[QuantizedTensor]],
) -> Doubles:
    """Squared error of the outputs over their square, with one weight quantized at a time."""
    run = model.module() if isinstance(model, ExportedProgram) else model
    parameters = dict(run.named_parameters(remove_duplicate=False))
    training = run.training
    if not isinstance(model, ExportedProgram):
        run.eval()
    losses = np.empty((len(tensors), len(tensors[0])))
    try:
        with torch.no_grad():
            expected = outputs(run, samples)
            power = float(expected.square().sum()) or 1.0
            for k, (name, options) in enumerate(zip(weights, tensors, strict=True)):
                original = parameters[name].detach().clone()
                for f, tensor in enumerate(options):
                    parameters[name].copy_(torch.from_numpy(tensor.dequantize()))
                    error = outputs(run, samples) - expected
                    losses[k, f] = float(error.square().sum()) / power
                parameters[name].copy_(original)
    finally:
        if not isinstance(model, ExportedProgram):
            run.train(training)
    if not np.isfinite(losses).all():
        raise InvalidInputError("the model's outputs are not finite on the calibration inputs")
    return losses


def outputs(run: Any, samples: Sequence[tuple[Any, ...]]) -> Tensor:
    """All floating-point outputs on all samples, in one vector."""
    leaves = [leaf for arguments in samples for leaf in tree_leaves(run(*arguments))]
    floats = [leaf for leaf in leaves if isinstance(leaf, Tensor) and leaf.is_floating_point()]
    return torch.cat([leaf.reshape(-1).double() for leaf in floats])


def product_seconds(
    format: WeightFormat, rows: int, columns: int, speeds: Speeds, threads: int
) -> float:
    """Roofline of one vector times the weight: stored bytes from memory, or its arithmetic."""
    moved = format.bits(rows, columns) * rows * columns / 8
    arithmetic = 2 * rows * columns / speeds.peak("f32", threads)
    return max(moved / speeds.bandwidth("memory", threads).read, arithmetic)
