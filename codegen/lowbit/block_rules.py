"""Rules of `quant.lookup_bytes` and `quant.interleave`: shuffles within 128 bits."""

from __future__ import annotations

from xdsl.ir import Operation

from ...dialects.quant.ops import InterleaveOp, LookupBytesOp
from ..c.expression import Expr, call
from ..c.function import FunctionEmitter
from ..c.lanes import lane_function, operand_shape
from ..c.registry import emits

SPREAD_BLOCK = {256: "broadcastsi128_si256", 512: "broadcast_i32x4"}


@emits(LookupBytesOp)
def emit_lookup_bytes(emitter: FunctionEmitter, op: Operation) -> None:
    """vpshufb, whose table is its first operand; a table of one block is loaded to all of them."""
    assert isinstance(op, LookupBytesOp)
    shape = emitter.prelude.shape(op.result.type)
    codes, table = emitter.atom(op.codes), emitter.atom(op.table)
    if shape.is_native:
        if op.is_shared:
            spread = SPREAD_BLOCK[shape.bits]
            table = call(f"{shape.prefix}_{spread}", table)
        emitter.bind(op.result, call(f"{shape.prefix}_shuffle_epi8", table, codes))
        return
    code = "((uint32_t)a_lane[l] >> {place} & 15)"
    block = "" if op.is_shared else "l / 4 * 4 + "
    terms = [_part("b", code.format(place=8 * byte), 8, 8 * byte, block) for byte in range(4)]
    name = f"tc_lookup_bytes_{shape.name}" + "_shared" * op.is_shared
    _emit_lanes(emitter, op, name, terms)


@emits(InterleaveOp)
def emit_interleave(emitter: FunctionEmitter, op: Operation) -> None:
    """vpunpck of bytes or words."""
    assert isinstance(op, InterleaveOp)
    shape = emitter.prelude.shape(op.result.type)
    bits, half = op.bits.data, op.half.data
    if shape.is_native:
        name = f"{shape.prefix}_unpack{'lh'[half]}{'oi'[half]}_epi{bits}"
        emitter.bind(op.result, call(name, emitter.atom(op.first), emitter.atom(op.second)))
        return
    per_lane = 32 // bits
    terms = [
        _part(
            "ab"[part % 2],
            f"(l % 4 * {per_lane // 2} + {half * 2 * per_lane + part // 2})",
            bits,
            bits * part,
        )
        for part in range(per_lane)
    ]
    _emit_lanes(emitter, op, f"tc_interleave_{bits}_{half}_{shape.name}", terms)


def _part(operand: str, index: str, bits: int, place: int, block: str = "l / 4 * 4 + ") -> str:
    """Part `index`, of `bits` bits, of the block of an operand, moved to bit `place`."""
    per_lane = 32 // bits
    lane = f"(uint32_t){operand}_lane[{block}{index} / {per_lane}]"
    return f"({lane} >> {bits} * ({index} % {per_lane}) & {(1 << bits) - 1}) << {place}"


def _emit_lanes(emitter: FunctionEmitter, op: Operation, name: str, terms: list[str]) -> None:
    """Lane after lane: parts of a word, joined."""
    prelude = emitter.prelude
    shapes = [operand_shape(prelude, value) for value in op.operands]
    body = Expr(f"(int32_t)({' | '.join(terms)})")
    (result,) = op.results
    function = lane_function(prelude, name, shapes, prelude.shape(result.type), lambda _: body)
    emitter.bind(result, call(function, *(emitter.atom(value) for value in op.operands)))
