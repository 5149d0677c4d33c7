"""How codes become pairs of f16 or bf16, or four of 8 bits, in registers: a few instructions each.

In: an element type, the place of codes in their 32-bit word. Out: steps, each with its meaning in
numpy and its C++ text. Fields that fit below the mantissa's top are converted where they lie: their
bits are the mantissa of a power of two that is subtracted afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import ml_dtypes
import numpy as np
import numpy.typing as npt

from ....dialects.quant.elements import Element, FloatElement, IntegerElement

Words = npt.NDArray[np.uint32]
Target = Literal["f16", "bf16"]
DTYPES = {"f16": np.dtype(np.float16), "bf16": np.dtype(ml_dtypes.bfloat16)}
MANTISSA = {"f16": 10, "bf16": 7}
EXPONENT = {"f16": 5, "bf16": 8}
BIAS = {"f16": 15, "bf16": 127}


def bits_of_number(value: float, target: Target) -> int:
    """The bits of `value` in `target`."""
    with np.errstate(all="ignore"):
        return int(np.array(value, np.float64).astype(DTYPES[target]).view(np.uint16))


def repeated(value: int, bits: int) -> int:
    """The same `bits` (8 or 16) in all parts of a word."""
    return value * (0x10001 if bits == 16 else 0x1010101)


def _halves(
    function: Callable[..., npt.NDArray[np.float64]], target: Target
) -> Callable[..., Words]:
    """`function` of the numbers in both halves, rounded once."""

    def apply(*words: Words) -> Words:
        numbers = [
            np.atleast_1d(w.astype(np.uint32)).view(np.uint16).view(DTYPES[target]).astype(float)
            for w in np.broadcast_arrays(*words)
        ]
        return np.ascontiguousarray(function(*numbers).astype(DTYPES[target])).view(np.uint32)

    return apply


def _permute(a: Words, b: Words, selector: Words) -> Words:
    a, b, selector = np.broadcast_arrays(a, b, selector)
    table = np.stack([(x >> 8 * k) & 0xFF for x in (a, b) for k in range(4)])
    picked = [
        np.take_along_axis(table, (selector >> 4 * k & 7)[None].astype(np.int64), 0)[0]
        for k in range(4)
    ]
    result = picked[0] | picked[1] << 8 | picked[2] << 16 | picked[3] << 24
    return np.asarray(result, np.uint32)


@dataclass(frozen=True)
class Instruction:
    """C++ text with operands in braces, and what it means."""

    text: str
    meaning: Callable[..., Words]


INSTRUCTIONS: dict[str, Instruction] = {
    "shr": Instruction("{0} >> {1}", lambda x, n: x >> n),
    "shl": Instruction("{0} << {1}", lambda x, n: x << n),
    "and": Instruction("{0} & {1}", lambda x, m: x & m),
    "or": Instruction("{0} | {1}", lambda x, y: x | y),
    "xor": Instruction("{0} ^ {1}", lambda x, y: x ^ y),
    "and_or": Instruction("({0} & {1}) | {2}", lambda x, m, y: (x & m) | y),
    "permute": Instruction("tc_permute({0}, {1}, {2})", _permute),
}
for _target in ("f16", "bf16"):
    INSTRUCTIONS |= {
        f"sub_{_target}": Instruction(
            f"tc_sub_{_target}x2({{0}}, {{1}})",
            _halves(lambda a, b: a - b, _target),
        ),
        f"mul_{_target}": Instruction(
            f"tc_mul_{_target}x2({{0}}, {{1}})",
            _halves(lambda a, b: a * b, _target),
        ),
        f"fma_{_target}": Instruction(
            f"tc_fma_{_target}x2({{0}}, {{1}}, {{2}})",
            _halves(lambda a, b, c: a * b + c, _target),
        ),
    }


def _low_floats(word: Words, offset: Words) -> Words:
    """Bytes 0 of both halves as f32 minus an f32, packed as bf16."""
    base = offset.astype(np.uint32).view(np.float32)
    values = [
        (w & 0xFF | 0x4B000000).astype(np.uint32).view(np.float32) - base
        for w in (word, word >> 16)
    ]
    packed = [v.astype(ml_dtypes.bfloat16).view(np.uint16).astype(np.uint32) for v in values]
    return np.asarray(packed[0] | packed[1] << 16, np.uint32)


INSTRUCTIONS["bytes_bf16"] = Instruction("tc_bytes_to_bf16x2({0}, {1})", _low_floats)

Operand = int | str  # the number of a step, or "word", "next" or an immediate in hexadecimal


@dataclass
class Decoding:
    """Steps so far; the last one is the pair."""

    steps: list[tuple[str, tuple[Operand, ...]]] = field(default_factory=list)

    def add(self, name: str, *operands: Operand) -> int:
        """Append a step; its number."""
        self.steps.append((name, operands))
        return len(self.steps) - 1

    def evaluate(self, word: Words, following: Words) -> Words:
        """What the steps make of words, in numpy."""
        results: list[Words] = []

        def value(operand: Operand) -> Words:
            if isinstance(operand, int):
                return results[operand]
            given = {"word": word, "next": following}
            return given[operand] if operand in given else np.uint32(int(operand.rstrip("u"), 0))  # type: ignore[return-value]

        with np.errstate(all="ignore"):
            for name, operands in self.steps:
                arguments = [np.asarray(value(o), np.uint32) for o in operands]
                results.append(np.asarray(INSTRUCTIONS[name].meaning(*arguments), np.uint32))
        return np.ascontiguousarray(results[-1] if results else word)

    def lines(self, word: str, following: str, prefix: str) -> tuple[list[str], str]:
        """C++ lines, and the expression of the pair."""

        def text(operand: Operand) -> str:
            if isinstance(operand, int):
                return f"{prefix}{operand}"
            if operand in ("word", "next"):
                return word if operand == "word" else following
            return operand

        lines: list[str] = []
        for number, (name, operands) in enumerate(self.steps):
            value = INSTRUCTIONS[name].text.format(*(text(o) for o in operands))
            if number == len(self.steps) - 1:
                return lines, value
            lines.append(f"const uint32_t {prefix}{number} = {value};")
        return lines, word


def hexadecimal(value: int) -> str:
    """An immediate."""
    return f"0x{value:08X}u"


def immediate(value: int, bits: int = 16) -> str:
    """An immediate with the same bits in all parts of a word."""
    return hexadecimal(repeated(value, bits))


def decode_pair(
    element: Element, levels: npt.NDArray[np.float32], target: Target, shift: int
) -> Decoding | None:
    """Steps for the pair whose codes start at bit `shift` of the halves; None without registers.

    The pair goes on in the next word where shift + width > 16. `None` means that a table in memory
    is needed: codebooks of more than 4 bits and floats that `target` does not contain.
    """
    if isinstance(element, IntegerElement):
        return _integer(element, target, shift)
    if isinstance(element, FloatElement) and _is_contained(element, target):
        return _float(element, target, shift)
    if element.width <= 4:
        return _codebook(element.width, levels, target, shift)
    return None


def decode_quad(element: Element, shift: int) -> Decoding | None:
    """Steps for the four codes that start at bit `shift` of the bytes, as bytes of i8.

    None for elements whose numbers are not the code, or the code less 128.
    """
    if not isinstance(element, IntegerElement) or element.step != 1:
        return None
    width, sequence = element.width, Decoding()
    if element.offset == 0 and width < 8:
        _field(sequence, width, shift, None, 8)
    elif element.offset == -128 and width == 8:
        sequence.add("xor", "word", immediate(128, 8))
    else:
        return None
    return sequence


def decode_fp8(
    table: npt.NDArray[np.uint8], known: npt.NDArray[np.bool_], shift: int
) -> Decoding | None:
    """Steps for the four codes from bit `shift` of the bytes on, as the bytes of floats in `table`.

    They are the codes, or have sign, exponent and mantissa of them in their place; None where they
    are neither. What codes that are not `known` become does not matter.
    """
    width, sequence = int(table.size).bit_length() - 1, Decoding()
    codes = np.arange(table.size)

    def is_all(found: npt.NDArray[np.int64]) -> bool:
        return bool((found == table)[known].all())

    if is_all(codes):
        if width < 8:
            _field(sequence, width, shift, None, 8)
        return sequence
    top = 1 << width - 1
    magnitude, sign = codes & (top - 1), codes // top
    for place in range(9 - width):
        if is_all(sign << 7 | magnitude << place):
            _sign_and_magnitude(sequence, width, shift, place, 8)
            return sequence
    return None


def _is_contained(element: FloatElement, target: Target) -> bool:
    """Whether exponent and mantissa fields of `target` hold every code."""
    if element.mantissa > MANTISSA[target] or element.exponent > EXPONENT[target]:
        return False
    if element.exponent == EXPONENT[target]:
        return element.variant == "ieee"
    return element.variant == "finite"


def _field(
    sequence: Decoding, width: int, shift: int, base: Operand | None, bits: int = 16
) -> Operand:
    """The codes at bit 0 of each part of `bits`, or'ed to `base`; other bits are 0."""
    mask = immediate((1 << width) - 1, bits)
    if shift + width <= bits:
        source: Operand = "word" if shift == 0 else sequence.add("shr", "word", str(shift))
        if base is None:
            return sequence.add("and", source, mask)
        return sequence.add("and_or", source, mask, base)
    low = bits - shift
    first = sequence.add("shr", "word", str(shift))
    second = sequence.add("shl", "next", str(low))
    low_mask = immediate((1 << low) - 1, bits)
    start = (
        sequence.add("and", first, low_mask)
        if base is None
        else sequence.add("and_or", first, low_mask, base)
    )
    return sequence.add("and_or", second, immediate((1 << width) - (1 << low), bits), start)


def _integer(element: IntegerElement, target: Target, shift: int) -> Decoding:
    """step * code + offset by way of the mantissa."""
    sequence, width, room = Decoding(), element.width, MANTISSA[target]
    if width > room:  # 8 bits in bf16
        at = _field(sequence, width, shift, None)
        if element.step == 1:
            base = np.float32(2**23 - element.offset)
            sequence.add("bytes_bf16", at, hexadecimal(int(base.view(np.uint32))))
            return sequence
        half = np.float32(2**23)
        codes = sequence.add("bytes_bf16", at, hexadecimal(int(half.view(np.uint32))))
        _affine(sequence, codes, element.step, element.offset, 0, target)
        return sequence
    magic = 1 << room
    magic_bits = immediate(bits_of_number(float(magic), target))
    found, place = _in_place(width, shift, room), 0
    if found is None:
        at = _field(sequence, width, shift, magic_bits)
    else:
        move, place = found
        source: Operand = "word" if move == 0 else sequence.add("shr", "word", str(move))
        at = sequence.add("and_or", source, immediate(((1 << width) - 1) << place), magic_bits)
    _affine(sequence, at, element.step, element.offset, magic, target, place)
    return sequence


def _in_place(width: int, shift: int, room: int) -> tuple[int, int] | None:
    """(right shift, bit where the field then lies): no shift or one that neighbours share."""
    if shift + width > 16:
        return None
    if shift + width <= room:
        return 0, shift
    late = next(s for s in range(room - width + 1, 17))
    first = -(-late // width) * width if shift % width == 0 else shift
    return (first, shift - first) if 0 <= shift - first <= room - width else (shift, 0)


def _affine(
    sequence: Decoding,
    at: Operand,
    step: int,
    offset: int,
    magic: int,
    target: Target,
    place: int = 0,
) -> None:
    """step * (x - magic) / 2^place + offset, in one instruction where its constants are exact."""
    factor = step / 2**place
    constant = offset - magic * factor

    def is_exact(value: float) -> bool:
        return float(np.array(value).astype(DTYPES[target])) == value

    if factor == 1 and is_exact(constant):
        sequence.add(f"sub_{target}", at, immediate(bits_of_number(-constant, target)))
        return
    if is_exact(constant):
        factors = immediate(bits_of_number(factor, target))
        sequence.add(f"fma_{target}", at, factors, immediate(bits_of_number(constant, target)))
        return
    if magic:
        at = sequence.add(f"sub_{target}", at, immediate(bits_of_number(float(magic), target)))
    factors = immediate(bits_of_number(factor, target))
    sequence.add(f"fma_{target}", at, factors, immediate(bits_of_number(offset, target)))


def _float(element: FloatElement, target: Target, shift: int) -> Decoding:
    """Exponent and mantissa to their place in `target`, the sign above; a product for the bias."""
    sequence = Decoding()
    place = MANTISSA[target] - element.mantissa
    at = _sign_and_magnitude(sequence, element.width, shift, place, 16)
    rebias = BIAS[target] - element.bias
    if rebias:
        sequence.add(f"mul_{target}", at, immediate(bits_of_number(2.0**rebias, target)))
    return sequence


def _sign_and_magnitude(
    sequence: Decoding, width: int, shift: int, place: int, bits: int
) -> Operand:
    """The sign on top of each part of `bits`, the bits below it at `place`."""
    source: Operand = "word"
    if shift + width > bits:
        source, shift = _field(sequence, width, shift, None, bits), 0
    magnitude, sign = ((1 << width - 1) - 1) << place, 1 << bits - 1
    moved = _moved(sequence, source, place - shift)
    if place + width == bits:
        return sequence.add("and", moved, immediate(magnitude | sign, bits))
    kept = sequence.add("and", moved, immediate(magnitude, bits))
    signs = _moved(sequence, source, bits - shift - width)
    return sequence.add("and_or", signs, immediate(sign, bits), kept)


def _moved(sequence: Decoding, source: Operand, left: int) -> Operand:
    if left == 0:
        return source
    return sequence.add("shl" if left > 0 else "shr", source, str(abs(left)))


def _codebook(width: int, levels: npt.NDArray[np.float32], target: Target, shift: int) -> Decoding:
    """Byte permutations look up low and high bytes: 8 entries in one, 16 in three of them."""
    with np.errstate(all="ignore"):
        halves = np.resize(levels, 16).astype(DTYPES[target]).view(np.uint16).astype(np.uint64)

    def table(entries: Sequence[int], high: bool) -> str:
        picked = [int(halves[e]) >> (8 if high else 0) & 0xFF for e in entries]
        return hexadecimal(sum(byte << 8 * k for k, byte in enumerate(picked)))

    sequence = Decoding()
    at = _field(sequence, width, shift, None)
    above = sequence.add("shr", at, "12")
    selector = sequence.add("or", at, above)
    if width < 4:
        found = [
            sequence.add("permute", table(range(4), high), table(range(4, 8), high), selector)
            for high in (False, True)
        ]
    else:
        low_selector = sequence.add("and", selector, hexadecimal(0x77))
        upper = sequence.add("and", selector, hexadecimal(0x88))
        choice = sequence.add("shr", upper, "1")
        choose = sequence.add("or", choice, hexadecimal(0x10))
        found = []
        for high in (False, True):
            parts = [
                sequence.add(
                    "permute",
                    table(range(start, start + 4), high),
                    table(range(start + 4, start + 8), high),
                    low_selector,
                )
                for start in (0, 8)
            ]
            found.append(sequence.add("permute", *parts, choose))
    sequence.add("permute", *found, hexadecimal(0x5140))
    return sequence
