"""Attention as one tile program: a block of queries goes along the keys, softmax on the way.

In: an `Attention`, a plan. Out: a `tile.program`. Per block of keys:
  s = f(q k^T) ; m' = max(m, rows of s) ; p = exp(s - r(m')) ; a = exp(m - r(m'))
  l = a l + rows of p ; o = a o + p v
Scores lie in the registers of the accumulator as the next product wants its left operand, so that
`p` is only rounded to 16 bits on its way. What follows the softmax is done with l and o at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from xdsl.dialects import arith, math
from xdsl.ir import Block, Region, SSAValue

from ...dialects.tile import ops
from ...dialects.tile.atoms import F32
from ...dialects.tile.bank_conflicts import choose_swizzle
from ...dialects.tile.register_layout import RegisterLayout
from ..poly.rules_gpu.choice import GpuChoice
from .access import Access
from .attention import Attention
from .builder import Index
from .contraction import Contraction
from .matmul import SHARED_BYTES
from .pipeline import Warps, pipelined_many
from .scalar_body import below
from .views import KernelBuilder


@dataclass(frozen=True)
class AttentionPlan:
    """Warps of a block, each with 16 queries; stages of the ring of copies; keys of a stage."""

    warps: int
    stages: int
    keys: int

    @property
    def queries(self) -> int:
        """Of a block."""
        return 16 * self.warps


def attention_plan(attention: Attention, choice: GpuChoice) -> AttentionPlan:
    """What `choice` says, as far as shared memory has room for it; else what is usual."""
    width, wide = widths(attention)
    usual = AttentionPlan(4, 2, 64 if wide <= 64 else 32)
    given = (choice.warps or usual.warps, choice.stages or usual.stages, choice.keys or usual.keys)
    plan = AttentionPlan(*given)
    shared = 2 * (plan.queries * width + plan.stages * plan.keys * (width + wide))
    return plan if shared <= SHARED_BYTES else usual


def widths(attention: Attention) -> tuple[int, int]:
    """Numbers of a query and a key, and of a value, as instructions take them."""
    return -(-attention.scores.shape[3] // 16) * 16, -(-attention.sums.shape[2] // 8) * 8


class AttentionBuilder(KernelBuilder):
    """Writes the program."""

    def __init__(self, name: str, attention: Attention, plan: AttentionPlan) -> None:
        self.a, self.plan = attention, plan
        scores = attention.scores
        self.element = scores.lhs.element
        batch, queries, self.keys, _ = scores.shape
        self.width, self.wide = widths(attention)
        self.at_once = plan.keys
        blocks = (-(-queries // plan.queries), 1, batch)
        super().__init__(name, 32 * plan.warps, blocks, attention.arrays, scores.extents)
        b = self.b
        self.first = b.times(b.block_index(0, "block"), plan.queries)
        self.first.name_hint = "first_query"
        self.batch = b.block_index(2, "batch") if batch > 1 else None
        self.of_scores = Warps(self.element, plan.warps, 1, (1, self.at_once // 8, 1))
        self.of_sums = Warps(self.element, plan.warps, 1, (1, self.wide // 8, self.at_once // 16))

    def lead(self, of: Contraction) -> list[tuple[Sequence[int], Index]]:
        """The loops of the batch, and the place in it."""
        return [] if self.batch is None else [(of.batch, self.batch)]

    def whole(self, of: Contraction, access: Access, *groups: Sequence[int]) -> SSAValue:
        """The view of an array of a contraction with the batch in front."""
        self.extents = of.extents
        return self.view(access, *(dims for dims, _ in self.lead(of)), *groups)

    def build(self) -> ops.ProgramOp:
        """The program."""
        b, scores, sums, size = self.b, self.a.scores, self.a.sums, self.at_once
        query = self.whole(scores, scores.lhs, scores.rows, scores.depth)
        key = self.whole(scores, scores.rhs, scores.columns, scores.depth)
        value = self.whole(sums, sums.rhs, sums.depth, sums.columns)
        place = [] if self.batch is None else [self.batch]
        query_ring = self.ring("query_tile", (1, self.plan.queries, self.width))
        key_ring = self.ring("key_ring", (self.plan.stages, size, self.width))
        value_ring = self.ring("value_ring", (self.plan.stages, size, self.wide))
        b.copy_async(query, (*place, self.first, 0), query_ring, 0)

        def copy(step: SSAValue, stage: SSAValue) -> None:
            at = b.times(step, size)
            b.copy_async(key, (*place, at, 0), key_ring, stage)
            b.copy_async(value, (*place, at, 0), value_ring, stage)

        def compute(step: SSAValue, stage: SSAValue, old: list[SSAValue]) -> list[SSAValue]:
            most, total, out = old
            s = self.only_keys(self.scores(query_ring, key_ring, step, stage), step)
            above = b.add(ops.ReduceOp("max", s, 1), "block_max")
            new = b.binary("max", most, above, "new_max")
            body = self.a.reference.body.clone()
            reference = b.add(ops.MapOp([new], body, F32), "reference")
            scale = self.exponential(most, reference, "scale")
            p = self.exponential(s, self.spread(reference, self.of_scores.accumulator), "weights")
            rows = b.add(ops.ReduceOp("add", p, 1), "block_total")
            total = b.binary("add", b.binary("mul", total, scale, "total"), rows, "total")
            layout = self.of_sums.accumulator
            out = b.binary("mul", out, self.spread(scale, layout), "out_sums")
            turned = self.of_sums.rhs.permute((1, 0))
            right = b.add(ops.TransposeOp(b.load(value_ring, (stage, 0, 0), turned, "v")), "v")
            return [new, total, b.add(ops.DotOp(self.as_lhs(p), right, out), "out_sums")]

        row = self.of_scores.accumulator.reduce(1)
        start = [
            b.fill(-inf, row, F32, "max"),
            b.fill(0.0, row, F32, "total"),
            b.fill(0.0, self.of_sums.accumulator, F32, "out_sums"),
        ]
        steps = (b.index(0), b.index(-(-self.keys // size)))
        _, total, out = pipelined_many(b, steps, self.plan.stages, copy, compute, start)
        self.finish(total, out)
        return b.program

    def ring(self, name: str, shape: tuple[int, int, int]) -> SSAValue:
        """Shared memory for tiles."""
        swizzle = choose_swizzle(shape[1:], 2)
        return self.b.alloc_shared(name, shape, self.element, swizzle)

    def scores(
        self, query_ring: SSAValue, key_ring: SSAValue, step: SSAValue, stage: SSAValue
    ) -> SSAValue:
        """The scores of a block of keys, with what is done to each."""
        b, c, layout = self.b, self.a.scores, self.of_scores.accumulator
        zero = b.fill(0.0, layout, F32, "scores")
        with b.loop(0, self.width // 16, [zero], "part") as (part, (carried,), results):
            at = b.times(part, 16)
            left = b.load(query_ring, (0, 0, at), self.of_scores.lhs, "q")
            right = b.load(key_ring, (stage, 0, at), self.of_scores.rhs, "k")
            results.append(b.add(ops.DotOp(left, right, carried), "scores"))
        s = results[0]
        if c.epilogue is None:
            return s
        self.extents = c.extents
        at_keys = b.times(step, self.at_once)
        groups, places = (c.rows, c.columns), (self.first, at_keys)
        loaded = [self.load(x, self.lead(c), groups, places, layout) for x in c.epilogue.sources]
        tiles = [s, *(self.spread(tile, layout) for tile in loaded)]
        return b.add(ops.MapOp(tiles, c.epilogue.body.clone(), F32), "scores")

    def only_keys(self, s: SSAValue, step: SSAValue) -> SSAValue:
        """-inf behind the last key."""
        b = self.b
        if self.keys % self.at_once == 0:
            return s
        start = b.times(step, self.at_once)
        number = b.add(ops.IndicesOp(1, start, self.of_scores.accumulator), "number")
        return b.add(ops.MapOp([s, number], below(self.keys, -inf), F32), "scores")

    def exponential(self, x: SSAValue, reference: SSAValue, name: str) -> SSAValue:
        """exp(x - reference)."""
        block = Block(arg_types=[F32, F32])
        shift = arith.SubfOp(block.args[0], block.args[1])
        power = math.ExpOp(shift.result)
        block.add_ops([shift, power, ops.YieldOp(power.result)])
        return self.b.add(ops.MapOp([x, reference], Region([block]), F32), name)

    def as_lhs(self, p: SSAValue) -> SSAValue:
        """The weights as the left operand, rounded; the registers are the same."""
        return self.b.cast(p, self.element, "p")

    def finish(self, total: SSAValue, out: SSAValue) -> None:
        """The steps behind the softmax, the epilogue, and the store."""
        b, c = self.b, self.a.sums
        layout: RegisterLayout = self.of_sums.accumulator
        known = {self.a.total: total}
        for step in self.a.after:
            tiles = [known[s.array] for s in step.sources]
            known[step.target.array] = b.add(ops.MapOp(tiles, step.body.clone(), F32), "row")
        self.extents = c.extents
        if c.epilogue is not None:
            groups, places = (c.rows, c.columns), (self.first, 0)
            tiles = [
                known[x.array]
                if x.array in known
                else self.load(x, self.lead(c), groups, places, layout)
                for x in c.epilogue.sources
            ]
            spread = [out, *(self.spread(tile, layout) for tile in tiles)]
            out = b.add(ops.MapOp(spread, c.epilogue.body.clone(), F32), "finished")
        view = self.whole(c, c.result, c.rows, c.columns)
        place = [] if self.batch is None else [self.batch]
        b.store(b.cast(out, c.result.element, "rounded"), view, (*place, self.first, b.index(0)))


def attention_program(name: str, attention: Attention, plan: AttentionPlan) -> ops.ProgramOp:
    """The program of `attention`; its arguments are `attention.arrays`, in order."""
    return AttentionBuilder(name, attention, plan).build()
