"""Emission of `tile.cast` from codes: the sequence of each word, unrolled, or a table in memory."""

from __future__ import annotations

import numpy as np

from ....dialects.errors import LoweringError
from ....dialects.quant.elements import Element, Floats
from ....dialects.reference.tile import dtype_of, levels_of
from ....dialects.tile import ops
from ....dialects.tile.atoms import FP8
from ....dialects.tile.types import CodeType, bits_of
from .decode import DTYPES, Decoding, Target, decode_fp8, decode_pair, decode_quad
from .emitter import Emitter


def emit_decode(emitter: Emitter, op: ops.CastOp) -> None:
    """A line or a few per pair of numbers, or four of 8 bits."""
    source, result = ops.register_of(op.source), ops.register_of(op.result)
    assert isinstance(source.element, CodeType)
    element, streams = source.element.element, source.element.streams.data
    if streams == 4 and bits_of(result.element) == 8:
        _emit_quads(emitter, op, element)
        return
    if streams != 2 or str(result.element) not in DTYPES:
        raise LoweringError(f"tile.cast from {source.element} to {result.element} has no rule")
    target: Target = "f16" if str(result.element) == "f16" else "bf16"
    levels = levels_of(op)
    codes = emitter.name(op.source)
    name = emitter.declare(op.result)
    table: str | None = None
    for pair in range(source.layout.locals // 2):
        word, shift = divmod(pair * element.width, 16)
        sequence = decode_pair(element, levels, target, shift)
        at, following = f"{codes}[{word}]", f"{codes}[{word + 1}]"
        if sequence is None:
            table = table or _table(emitter, levels, target)
            low, high = _pair_of_codes(codes, pair, element.width)
            emitter.line(
                f"{name}[{pair}] = {table}[{low}] | static_cast<uint32_t>({table}[{high}]) << 16;"
            )
            continue
        _emit_word(emitter, f"{name}[{pair}]", sequence, at, following)


def _emit_quads(emitter: Emitter, op: ops.CastOp, element: Element) -> None:
    codes, count = emitter.name(op.source), ops.register_of(op.source).layout.locals
    result, name = ops.register_of(op.result).element, emitter.declare(op.result)
    with np.errstate(all="ignore"):
        numbers = levels_of(op)
        table = numbers.astype(dtype_of(result))
    known = np.isfinite(numbers) & (table.astype(np.float32) == numbers)
    for quad in range(count // 4):
        word, shift = divmod(quad * element.width, 8)
        if result in FP8:
            sequence = decode_fp8(table.view(np.uint8), known, shift)
        else:
            sequence = decode_quad(element, shift)
        if sequence is None:
            raise LoweringError(f"tile.cast: bits of {element.name} are not those of {result}")
        _emit_word(emitter, f"{name}[{quad}]", sequence, f"{codes}[{word}]", f"{codes}[{word + 1}]")


def _emit_word(
    emitter: Emitter, target: str, sequence: Decoding, word: str, following: str
) -> None:
    """`target` from the word with its codes and the one behind it."""
    lines, value = sequence.lines(word, following, "v")
    if not lines:
        emitter.line(f"{target} = {value};")
        return
    emitter.open("")
    for line in lines:
        emitter.line(line)
    emitter.line(f"{target} = {value};")
    emitter.close()


def emit_lookup(emitter: Emitter, op: ops.LookupOp) -> None:
    """A load per number, which the first-level cache answers."""
    source = ops.register_of(op.source)
    assert isinstance(source.element, CodeType)
    codes, table = emitter.name(op.source), emitter.name(op.table)
    name = emitter.declare(op.result)
    for pair in range(source.layout.locals // 2):
        places = _pair_of_codes(codes, pair, source.element.element.width)
        for half, place in enumerate(places):
            emitter.line(f"{name}[{2 * pair + half}] = {table}[{place}];")


def _pair_of_codes(codes: str, pair: int, width: int) -> tuple[str, str]:
    """Both codes of a pair as numbers; the pair may go on in the next word."""
    word, shift = divmod(pair * width, 16)
    at, following, mask = f"{codes}[{word}]", f"{codes}[{word + 1}]", (1 << width) - 1
    low, high = f"{at} >> {shift}", f"{at} >> {16 + shift}"
    if shift + width > 16:
        low = f"(({at} & 0xFFFFu) >> {shift} | {following} << {16 - shift})"
        high = f"({high} | {following} >> 16 << {16 - shift})"
    return f"{low} & {mask}", f"{high} & {mask}"


def _table(emitter: Emitter, levels: Floats, target: Target) -> str:
    """A table of 16-bit numbers in global memory, which the first-level cache holds."""
    with np.errstate(all="ignore"):
        bits = levels.astype(DTYPES[target]).view(np.uint16)
    name = emitter.fresh(f"{emitter.program}_levels")
    rows = [", ".join(f"0x{b:04X}" for b in bits[k : k + 12]) for k in range(0, len(bits), 12)]
    body = ",\n    ".join(rows)
    emitter.tables.append(f"__device__ static const uint16_t {name}[] = {{\n    {body}}};\n")
    return name
