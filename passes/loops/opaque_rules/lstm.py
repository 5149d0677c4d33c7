"""Loops of `graph.lstm`: all steps in one kernel, one team of threads, weights packed for it.

    states[0] = hidden, cell
    for s in steps:                       one parallel region
        parallel for p in panels of units:
            i, f, g, o = gates[t, p] + sum over k of states[s, 0, k] * weight[p, k]
            states[s + 1, :, p] = the new states of the panel

A panel holds the four gates of as many units as a vector has lanes, [k][gate][lane]: one stream of
weights, which stays in the cache of the thread that always gets the same panels.
"""

from __future__ import annotations

from xdsl.dialects import arith
from xdsl.dialects.builtin import VectorType
from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap

from ....dialects.graph import element_of, shape_of
from ....dialects.graph.opaque import LstmOp
from ...poly.storage import element_bytes
from .kernel import OpaqueKernel
from .loop_builder import LoopBuilder
from .rule import lowers
from .vectors import Vectors

GATES = 4
CHAINS = 2  # sums per gate that are added at the end: together they hide the latency of fma


def panel_lanes(units: int, lanes: int) -> int:
    """The most lanes, at most `lanes`, that divide `units` into whole panels."""
    while units % lanes:
        lanes //= 2
    return lanes


@lowers(LstmOp)
def lower_lstm(op: LstmOp, kernel: OpaqueKernel, b: LoopBuilder) -> None:
    """Steps in order, panels of units in parallel."""
    steps, batch, _ = shape_of(op.gates)
    units, element, states = shape_of(op.hidden)[1], element_of(op.result), kernel.out
    lanes = panel_lanes(units, kernel.machine.lanes(element_bytes(states)))
    type = VectorType(element, [lanes])
    panels = units // lanes
    p, k, g, lane = (AffineExpr.dimension(d) for d in range(4))
    source = AffineMap(4, 0, (g * units + p * lanes + lane, k))
    weight = kernel.packed(b, op.weight, [panels, units, GATES, lanes], source)
    gates = kernel.stored(b, op.gates)

    def start(b: LoopBuilder, row: SSAValue, unit: SSAValue) -> None:
        for k, value in enumerate((op.hidden, op.cell)):
            b.store(kernel.read(b, value, [row, unit]), states, [0, k, row, unit])

    b.loop(0, batch, lambda b, row: b.loop(0, units, lambda b, unit: start(b, row, unit)) and None)

    def step(b: LoopBuilder, s: SSAValue) -> None:
        time = b.sub(b.index(steps - 1), s) if op.reverse.value.data else s
        b.parallel(0, panels, lambda b, panel: each_row(b, s, time, panel))

    def each_row(b: LoopBuilder, s: SSAValue, time: SSAValue, panel: SSAValue) -> None:
        b.nest([batch], lambda b, at: update(b, s, time, panel, at[0]))

    def update(b: LoopBuilder, s: SSAValue, time: SSAValue, panel: SSAValue, row: SSAValue) -> None:
        v = Vectors(b, type, kernel.machine.has_fma)
        first, zero = b.mul(panel, b.index(lanes)), b.index(0)
        inputs = [
            v.load(gates, [time, row, b.add(b.index(gate * units), first)]) for gate in range(GATES)
        ]
        totals = products(b, s, panel, row)
        i, f, g, o = (v.add(x, total) for x, total in zip(inputs, totals, strict=True))
        before = v.load(states, [s, b.index(1), row, first])
        written = v.mul(v.sigmoid(i), v.tanh(g))
        cell = v.multiply_add(v.sigmoid(f), before, written)
        after = b.add(s, b.index(1))
        v.store(cell, states, [after, b.index(1), row, first])
        v.store(v.mul(v.sigmoid(o), v.tanh(cell)), states, [after, zero, row, first])

    def products(b: LoopBuilder, s: SSAValue, panel: SSAValue, row: SSAValue) -> list[SSAValue]:
        """The sums over the hidden state before step `s`, one vector per gate."""
        chains = CHAINS if units % CHAINS == 0 else 1
        zeros = [Vectors(b, type, False).constant(0.0)] * (GATES * chains)

        def terms(b: LoopBuilder, k: SSAValue, *sums: SSAValue) -> list[SSAValue]:
            v = Vectors(b, type, kernel.machine.has_fma)
            result: list[SSAValue] = []
            for chain in range(chains):
                at = b.add(k, b.index(chain))
                state = v.splat(b.load(states, [s, 0, row, at]))
                for gate in range(GATES):
                    factor = v.load(weight, [panel, at, b.index(gate), b.index(0)])
                    result.append(v.multiply_add(state, factor, sums[len(result)]))
            return result

        sums = b.loop(0, units, terms, zeros, step=chains)
        for chain in range(1, chains):
            for gate in range(GATES):
                total = arith.AddfOp(sums[gate], sums[chain * GATES + gate])
                sums[gate] = b.insert(total)
        return sums[:GATES]

    b.loop(0, steps, step, shares=True)
