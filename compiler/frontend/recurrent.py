"""Recurrent layers, kept whole: the products with the inputs for all steps at once, and one op.

Layers of f16 and bf16 compute in f32 and round their results once.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import BFloat16Type, Float16Type, f32
from xdsl.ir import SSAValue

from ...dialects.graph import CatOp, element_of, shape_of, tensor_of
from ...dialects.graph.opaque import LstmOp
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
    each = len(parameters) // (layers * directions)
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
            own = parameters[number * each : (number + 1) * each]
            before = b.select(hidden, 0, number), b.select(cell, 0, number)
            gates = _gates(b, value, own, has_biases)
            reverse = direction == 1
            if each % 2:  # the last parameter projects hidden states (proj_size)
                output, *after = _projected(b, gates, own[1], own[-1], before, reverse)
            else:
                states = b.emit(LstmOp(gates, own[1], *before, reverse))
                output = _in_order(b, states, reverse)
                final = b.slice(states, 0, shape_of(states)[0] - 1, 1)
                after = [b.select(final, 1, k) for k in range(2)]
            outputs.append(output)
            for kept, state in zip(last, after, strict=True):
                kept.append(state)
        value = _joined(b, outputs, 2)
    result = b.swap(value, 0, 1) if batch_first else value
    hidden, cell = (_joined(b, states, 0) for states in last)
    return b.cast(result, element), b.cast(hidden, element), b.cast(cell, element)


def _gates(
    b: Builder, source: SSAValue, parameters: Sequence[SSAValue], has_biases: bool
) -> SSAValue:
    """What the inputs of all steps and the biases give to the gates."""
    bias = b.pointwise("add", *parameters[2:4]) if has_biases else None
    return b.linear(source, parameters[0], bias)


def _projected(
    b: Builder,
    gates: SSAValue,
    recurrent: SSAValue,
    projection: SSAValue,
    states: tuple[SSAValue, SSAValue],
    reverse: bool,
) -> tuple[SSAValue, SSAValue, SSAValue]:
    """Hidden states of all steps, the last one, and the last cell state: step by step.

    Cell states are longer than hidden ones, `projection` times what other layers give as them.
    """
    hidden, cell = states
    steps = shape_of(gates)[0]
    found: list[SSAValue] = []
    for step in range(steps):
        time = steps - 1 - step if reverse else step
        total = b.pointwise("add", b.select(gates, 0, time), b.linear(hidden, recurrent, None))
        parts = b.reshape(total, [shape_of(total)[0], 4, shape_of(cell)[1]])
        i, f, g, o = (b.select(parts, 1, k) for k in range(4))
        written = b.pointwise("mul", b.pointwise("sigmoid", i), b.pointwise("tanh", g))
        cell = b.pointwise("add", b.pointwise("mul", b.pointwise("sigmoid", f), cell), written)
        given = b.pointwise("mul", b.pointwise("sigmoid", o), b.pointwise("tanh", cell))
        hidden = b.linear(given, projection, None)
        found.append(hidden)
    rows = [_row(b, state) for state in (found[::-1] if reverse else found)]
    return _joined(b, rows, 0), _row(b, hidden), _row(b, cell)


def _row(b: Builder, state: SSAValue) -> SSAValue:
    return b.reshape(state, [1, *shape_of(state)])


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
