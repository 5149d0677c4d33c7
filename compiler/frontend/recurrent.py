"""Recurrent layers, kept whole: the products with the inputs for all steps at once, and one op.

Layers of f16 and bf16 compute in f32 and round their results once.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import BFloat16Type, Float16Type, f32
from xdsl.ir import SSAValue

from ...dialects.graph import CatOp, LinearOp, element_of, shape_of, tensor_of
from ...dialects.graph_opaque import LstmOp
from .builder import Builder
from .rules import UnsupportedUse, rule


@rule("aten.lstm.input")
def lstm(
    b: Builder,
    source: SSAValue,
    initial: Sequence[SSAValue],
    parameters: Sequence[SSAValue],
    has_biases: bool,
    layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[SSAValue, SSAValue, SSAValue]:
    """(hidden states of the last layer, last hidden states, last cell states)."""
    directions = 2 if bidirectional else 1
    each = 4 if has_biases else 2
    if len(parameters) != layers * directions * each:
        raise UnsupportedUse("an LSTM whose hidden states are projected (proj_size)")
    if train and dropout:
        raise UnsupportedUse("dropout between the layers in training mode")
    element = element_of(source)
    if isinstance(element, BFloat16Type | Float16Type):
        source = b.cast(source, f32)
        initial = [b.cast(state, f32) for state in initial]
        parameters = [b.cast(parameter, f32) for parameter in parameters]
    hidden, cell = initial
    value = b.swap(source, 0, 1) if batch_first else source
    last: tuple[list[SSAValue], list[SSAValue]] = ([], [])
    for layer in range(layers):
        outputs = []
        for direction in range(directions):
            number = layer * directions + direction
            states = _one_direction(
                b,
                value,
                parameters[number * each : (number + 1) * each],
                b.select(hidden, 0, number),
                b.select(cell, 0, number),
                reverse=direction == 1,
            )
            steps = shape_of(states)[0] - 1
            outputs.append(_in_order(b, states, reverse=direction == 1))
            for k, kept in enumerate(last):
                kept.append(b.select(b.slice(states, 0, steps, 1), 1, k))
        value = _joined(b, outputs, 2)
    result = b.swap(value, 0, 1) if batch_first else value
    hidden, cell = (_joined(b, states, 0) for states in last)
    return b.cast(result, element), b.cast(hidden, element), b.cast(cell, element)


def _one_direction(
    b: Builder,
    source: SSAValue,
    parameters: Sequence[SSAValue],
    hidden: SSAValue,
    cell: SSAValue,
    reverse: bool,
) -> SSAValue:
    """The states of one layer in one direction, before and after every step."""
    weight, recurrent, *biases = parameters
    shape = [*shape_of(source)[:2], shape_of(weight)[0]]
    bias = b.pointwise("add", *biases) if biases else None
    gates = b.emit(LinearOp(source, weight, bias, tensor_of(element_of(source), shape)))
    return b.emit(LstmOp(gates, recurrent, hidden, cell, reverse))


def _in_order(b: Builder, states: SSAValue, reverse: bool) -> SSAValue:
    """The hidden states after the steps, in the order of the inputs."""
    steps = shape_of(states)[0] - 1
    after = b.select(b.slice(states, 0, 1, steps), 1, 0)
    return b.slice(after, 0, steps - 1, steps, -1) if reverse else after


def _joined(b: Builder, parts: Sequence[SSAValue], dim: int) -> SSAValue:
    if len(parts) == 1:
        return parts[0]
    shape = list(shape_of(parts[0]))
    shape[dim] = sum(shape_of(part)[dim] for part in parts)
    return b.emit(CatOp(parts, dim, tensor_of(element_of(parts[0]), shape)))
