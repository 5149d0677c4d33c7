"""Loops of `graph.recurrent`: all steps in one kernel, one team of threads, weights packed for it.

    states[0] = initial
    for s in steps:                       one parallel region
        parallel for p in panels of units:
            sums = for each gate, the sum over k of states[s, 0, k] * weight[p, k]
            states[s + 1, :, p] = what the cell makes of gates[t, p], sums and states[s, :, p]

A panel holds the gates of as many units as a vector has lanes, [k][gate][lane]: one stream of
weights, which stays in the cache of the thread that always gets the same panels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

from xdsl.dialects.builtin import VectorType
from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap

from ....dialects.graph import element_of, shape_of
from ....dialects.graph.recurrent import GATES, RecurrentOp
from ...poly.storage import element_bytes
from .kernel import OpaqueKernel
from .loop_builder import LoopBuilder
from .rule import lowers
from .vectors import Vectors

Values = Sequence[SSAValue]
Cell = Callable[[Vectors, Values, Values, Values], list[SSAValue]]
"""(inputs of the gates, sums over the hidden state, states) -> states after the step."""
SUMS = 8  # independent sums hide the latency of multiply-adds


def lstm(v: Vectors, inputs: Values, sums: Values, states: Values) -> list[SSAValue]:
    """Hidden and cell state."""
    i, f, g, o = map(v.add, inputs, sums)
    written = v.mul(v.sigmoid(i), v.tanh(g))
    cell = v.multiply_add(v.sigmoid(f), states[1], written)
    return [v.mul(v.sigmoid(o), v.tanh(cell)), cell]


def gru(v: Vectors, inputs: Values, sums: Values, states: Values) -> list[SSAValue]:
    """n + z (h - n): nothing is lost where z is near 0 or 1."""
    r, z = (v.sigmoid(v.add(x, total)) for x, total in zip(inputs[:2], sums, strict=False))
    n = v.tanh(v.multiply_add(r, sums[2], inputs[2]))
    return [v.multiply_add(z, v.sub(states[0], n), n)]


def tanh(v: Vectors, inputs: Values, sums: Values, states: Values) -> list[SSAValue]:
    """The plain cell of Elman."""
    return [v.tanh(v.add(inputs[0], sums[0]))]


def relu(v: Vectors, inputs: Values, sums: Values, states: Values) -> list[SSAValue]:
    """The same without a bound."""
    return [v.relu(v.add(inputs[0], sums[0]))]


CELLS: dict[str, Cell] = {"lstm": lstm, "gru": gru, "tanh": tanh, "relu": relu}


def panel_lanes(units: int, lanes: int) -> int:
    """The most lanes, at most `lanes`, that divide `units` into whole panels."""
    while units % lanes:
        lanes //= 2
    return lanes


def chain_count(units: int, gates: int) -> int:
    """Sums per gate that are added at the end: as many as keep the multiply-adds busy."""
    return next(c for c in (8, 4, 2, 1) if units % c == 0 and (c // 2) * gates < SUMS)


@lowers(RecurrentOp)
def lower_recurrent(op: RecurrentOp, kernel: OpaqueKernel, b: LoopBuilder) -> None:
    """Steps in order, panels of units in parallel."""
    steps, batch, _ = shape_of(op.gates)
    units, element, states = shape_of(op.initial[0])[1], element_of(op.result), kernel.out
    cell, count = CELLS[op.fn.data], GATES[op.fn.data]
    lanes = panel_lanes(units, kernel.machine.lanes(element_bytes(states)))
    type = VectorType(element, [lanes])
    panels = units // lanes
    p, k, g, lane = (AffineExpr.dimension(d) for d in range(4))
    source = AffineMap(4, 0, (g * units + p * lanes + lane, k))
    weight = kernel.packed(b, op.weight, [panels, units, count, lanes], source)
    gates = kernel.stored(b, op.gates)
    bias = None if op.bias is None else kernel.stored(b, op.bias)

    def start(b: LoopBuilder, row: SSAValue, unit: SSAValue) -> None:
        for k, value in enumerate(op.initial):
            b.store(kernel.read(b, value, [row, unit]), states, [0, k, row, unit])

    b.loop(0, batch, lambda b, row: b.loop(0, units, lambda b, unit: start(b, row, unit)) and None)

    def step(b: LoopBuilder, s: SSAValue) -> None:
        time = b.sub(b.index(steps - 1), s) if op.reverse.value.data else s
        b.parallel(0, panels, lambda b, panel: each_row(b, s, time, panel))

    def each_row(b: LoopBuilder, s: SSAValue, time: SSAValue, panel: SSAValue) -> None:
        b.nest([batch], lambda b, at: update(b, s, time, panel, at[0]))

    def update(b: LoopBuilder, s: SSAValue, time: SSAValue, panel: SSAValue, row: SSAValue) -> None:
        v = Vectors(b, type, kernel.machine.has_fma)
        first = b.mul(panel, b.index(lanes))
        inputs = [
            v.load(gates, [time, row, b.add(b.index(gate * units), first)]) for gate in range(count)
        ]
        sums = products(b, s, panel, row)
        if bias is not None:
            sums[-1] = v.add(sums[-1], v.load(bias, [first]))
        parts = range(len(op.initial))
        before = [v.load(states, [s, b.index(k), row, first]) for k in parts]
        after = b.add(s, b.index(1))
        for k, value in enumerate(cell(v, inputs, sums, before)):
            v.store(value, states, [after, b.index(k), row, first])

    def products(b: LoopBuilder, s: SSAValue, panel: SSAValue, row: SSAValue) -> list[SSAValue]:
        """The sums over the hidden state before step `s`, one vector per gate."""
        chains = chain_count(units, count)
        zeros = [Vectors(b, type, False).constant(0.0)] * (count * chains)

        def terms(b: LoopBuilder, k: SSAValue, *sums: SSAValue) -> list[SSAValue]:
            v = Vectors(b, type, kernel.machine.has_fma)
            result: list[SSAValue] = []
            for chain in range(chains):
                at = b.add(k, b.index(chain))
                state = v.splat(b.load(states, [s, 0, row, at]))
                for gate in range(count):
                    factor = v.load(weight, [panel, at, b.index(gate), b.index(0)])
                    result.append(v.multiply_add(state, factor, sums[len(result)]))
            return result

        sums = b.loop(0, units, terms, zeros, step=chains)
        v = Vectors(b, type, kernel.machine.has_fma)
        return [reduce(v.add, sums[gate::count]) for gate in range(count)]

    b.loop(0, steps, step, shares=True)
