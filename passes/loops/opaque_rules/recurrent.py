"""Loops of `graph.recurrent`: all steps in one kernel, one team of threads, weights packed for it.

    states[0] = initial
    for s in steps:                       one parallel region
        parallel for p in panels of units:
            for rows of the batch, a few at a time:
                sums = for each gate, the sum over k of states[s, 0, k] * weight[p, k]
                states[s + 1, :, p] = what the cell makes of gates[t, p], sums and states[s, :, p]

A panel holds the gates of as many units as a vector has lanes, [k][gate][lane]: one stream of
weights, which stays in the cache of the thread that always gets the same panels. Rows that are
summed at once share what is loaded of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

from xdsl.dialects.builtin import VectorType
from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap

from ....costmodel.tile_cost import LATENCY
from ....dialects.graph import element_of, shape_of
from ....dialects.graph.recurrent import GATES, RecurrentOp
from ....dialects.sizes import Size
from ...poly.storage import element_bytes
from .kernel import OpaqueKernel
from .loop_builder import LoopBuilder
from .rule import lowers
from .vectors import Vectors

Values = Sequence[SSAValue]
Cell = Callable[[Vectors, Values, Values, Values], list[SSAValue]]
"""(inputs of the gates, sums over the hidden state, states) -> states after the step."""
MOST_ROWS = 4  # with more, code grows and loads hardly get fewer


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


def chain_count(units: int, sums: int) -> int:
    """How many parts each of `sums` has that are added at the end: as many as keep the
    multiply-adds busy."""
    return next(c for c in (8, 4, 2, 1) if units % c == 0 and (c // 2) * sums < LATENCY)


def row_count(batch: int, gates: int, registers: int) -> int:
    """Rows that are summed at once: a sum per gate, an element in all lanes each, and a weight."""
    if isinstance(batch, Size):
        return 1
    most = max(1, min(MOST_ROWS, (registers - 1) // (gates + 1)))
    return -(-batch // -(-batch // most))


@lowers(RecurrentOp)
def lower_recurrent(op: RecurrentOp, kernel: OpaqueKernel, b: LoopBuilder) -> None:
    """Steps in order, panels of units in parallel."""
    steps, batch, _ = shape_of(op.gates)
    units, element, states = shape_of(op.initial[0])[1], element_of(op.result), kernel.out
    cell, count = CELLS[op.fn.data], GATES[op.fn.data]
    lanes = panel_lanes(units, kernel.machine.lanes(element_bytes(states)))
    type = VectorType(element, [lanes])
    panels = units // lanes
    together = row_count(batch, count, kernel.machine.vector_registers)
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
        whole, rest = (batch, 0) if together == 1 else divmod(batch, together)

        def tile(b: LoopBuilder, at: Values) -> None:
            first = b.mul(at[0], b.index(together))
            update(b, s, time, panel, [b.add(first, b.index(r)) for r in range(together)])

        b.nest([whole], tile)
        if rest:
            last = range(batch - rest, batch)
            update(b, s, time, panel, [b.index(row) for row in last])

    def update(b: LoopBuilder, s: SSAValue, time: SSAValue, panel: SSAValue, rows: Values) -> None:
        v = Vectors(b, type, kernel.machine.has_fma)
        first = b.mul(panel, b.index(lanes))
        places = [b.add(b.index(gate * units), first) for gate in range(count)]
        after = b.add(s, b.index(1))
        for row, sums in zip(rows, products(b, s, panel, rows), strict=True):
            inputs = [v.load(gates, [time, row, place]) for place in places]
            if bias is not None:
                sums[-1] = v.add(sums[-1], v.load(bias, [first]))
            parts = range(len(op.initial))
            before = [v.load(states, [s, b.index(k), row, first]) for k in parts]
            for k, value in enumerate(cell(v, inputs, sums, before)):
                v.store(value, states, [after, b.index(k), row, first])

    def products(
        b: LoopBuilder, s: SSAValue, panel: SSAValue, rows: Values
    ) -> list[list[SSAValue]]:
        """For each row the sums over its hidden state before step `s`, one vector per gate."""
        each = count * len(rows)
        chains = chain_count(units, each)
        zeros = [Vectors(b, type, False).constant(0.0)] * (each * chains)

        def terms(b: LoopBuilder, k: SSAValue, *sums: SSAValue) -> list[SSAValue]:
            v = Vectors(b, type, kernel.machine.has_fma)
            result: list[SSAValue] = []
            for chain in range(chains):
                at = b.add(k, b.index(chain))
                hidden = [v.splat(b.load(states, [s, 0, row, at])) for row in rows]
                for gate in range(count):
                    factor = v.load(weight, [panel, at, b.index(gate), b.index(0)])
                    for h in hidden:
                        result.append(v.multiply_add(h, factor, sums[len(result)]))
            return result

        sums = b.loop(0, units, terms, zeros, step=chains)
        v = Vectors(b, type, kernel.machine.has_fma)
        totals = [reduce(v.add, sums[k::each]) for k in range(each)]
        return [totals[row :: len(rows)] for row in range(len(rows))]

    b.loop(0, steps, step, shares=True)
