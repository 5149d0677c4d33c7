"""Recurrent layers, kept whole: the products with the inputs for all steps at once, and one op.

Layers of f16 and bf16 compute in f32 and round their results once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from xdsl.dialects.builtin import BFloat16Type, Float16Type, f32
from xdsl.ir import SSAValue

from ...dialects.graph import CatOp, element_of, shape_of, tensor_of
from ...dialects.graph.recurrent import RecurrentOp
from .builder import Builder
from .rules import Rule, UnsupportedUse, rule

Parameters = Sequence[SSAValue]
States = Sequence[SSAValue]


@dataclass(frozen=True)
class Layers:
    """What the arguments of torch's recurrent operators say, weights aside."""

    has_biases: bool
    count: int
    dropout: float
    train: bool
    bidirectional: bool
    batch_first: bool


@rule("aten.lstm.input")
def lstm(
    b: Builder,
    source: SSAValue,
    initial: States,
    parameters: Parameters,
    has_biases: bool,
    layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[SSAValue, ...]:
    """(hidden states of the last layer, last hidden states, last cell states)."""
    form = Layers(has_biases, layers, dropout, train, bidirectional, batch_first)
    return _network(b, "lstm", source, initial, parameters, form)


def _one_state(cell: str) -> Rule:
    def layers(
        b: Builder, source: SSAValue, initial: SSAValue, parameters: Parameters, *form: Any
    ) -> tuple[SSAValue, ...]:
        """(hidden states of the last layer, last hidden states)."""
        return _network(b, cell, source, [initial], parameters, Layers(*form))

    return layers


for _name, _cell in (("gru", "gru"), ("rnn_tanh", "tanh"), ("rnn_relu", "relu")):
    rule(f"aten.{_name}.input")(_one_state(_cell))


def _network(
    b: Builder,
    cell: str,
    source: SSAValue,
    initial: States,
    parameters: Parameters,
    form: Layers,
) -> tuple[SSAValue, ...]:
    """Hidden states of the last layer, and each state [layers x directions, B, H] at the end."""
    directions = 2 if form.bidirectional else 1
    each = len(parameters) // (form.count * directions)
    if form.train and form.dropout:
        raise UnsupportedUse("dropout between the layers in training mode")
    element = element_of(source)
    if isinstance(element, BFloat16Type | Float16Type):
        source = b.cast(source, f32)
        initial = [b.cast(state, f32) for state in initial]
        parameters = [b.cast(parameter, f32) for parameter in parameters]
    value = b.swap(source, 0, 1) if form.batch_first else source
    last: list[list[SSAValue]] = [[] for _ in initial]
    for layer in range(form.count):
        outputs = []
        for direction in range(directions):
            number = layer * directions + direction
            own = parameters[number * each : (number + 1) * each]
            before = [b.select(state, 0, number) for state in initial]
            output, after = _direction(b, cell, value, before, own, form.has_biases, direction == 1)
            outputs.append(output)
            for kept, state in zip(last, after, strict=True):
                kept.append(state)
        value = _joined(b, outputs, 2)
    result = b.swap(value, 0, 1) if form.batch_first else value
    return tuple(b.cast(v, element) for v in (result, *(_joined(b, states, 0) for states in last)))


def _direction(
    b: Builder,
    cell: str,
    source: SSAValue,
    before: States,
    own: Parameters,
    has_biases: bool,
    reverse: bool,
) -> tuple[SSAValue, States]:
    """(hidden states in the order of the inputs, states [1, B, H] at the end) of one direction."""
    gates, bias = _gates(b, cell, source, own, has_biases)
    if len(own) % 2:  # the last parameter projects hidden states (proj_size)
        return _projected(b, gates, own[1], own[-1], before, reverse)
    states = b.emit(RecurrentOp(cell, gates, own[1], before, reverse, bias))
    final = b.slice(states, 0, shape_of(states)[0] - 1, 1)
    return _in_order(b, states, reverse), [b.select(final, 1, k) for k in range(len(before))]


def _gates(
    b: Builder, cell: str, source: SSAValue, own: Parameters, has_biases: bool
) -> tuple[SSAValue, SSAValue | None]:
    """(what the inputs of all steps and the biases give to the gates, what a GRU adds later)."""
    if not has_biases:
        return b.linear(source, own[0], None), None
    if cell != "gru":
        return b.linear(source, own[0], b.pointwise("add", *own[2:4])), None
    units = shape_of(own[1])[1]
    first = b.pointwise("add", *(b.slice(bias, 0, 0, 2 * units) for bias in own[2:4]))
    bias = _joined(b, [first, b.slice(own[2], 0, 2 * units, units)], 0)
    return b.linear(source, own[0], bias), b.slice(own[3], 0, 2 * units, units)


def _projected(
    b: Builder,
    gates: SSAValue,
    recurrent: SSAValue,
    projection: SSAValue,
    states: States,
    reverse: bool,
) -> tuple[SSAValue, States]:
    """Hidden states of all steps, and (the last one, the last cell state): step by step.

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
    return _joined(b, rows, 0), [_row(b, hidden), _row(b, cell)]


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
