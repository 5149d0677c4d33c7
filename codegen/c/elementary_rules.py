"""Rules of the ops of `codegen/mathlib/ops.py`: instructions on AVX-512, helpers elsewhere.

A helper computes the bits that the instructions give, by the same steps in scalar code and on AVX2.
"""

from __future__ import annotations

from collections.abc import Callable

from xdsl.ir import Operation
from xdsl.utils.type import get_element_type_or_self

from ..mathlib.ops import ExponentOp, LookupOp, RareOp, ScaleOp, SignificandOp
from .c_types import BYTES, C_TYPES, element_name, float_literal
from .elementary_writer import LAYOUTS, Writer
from .expression import Expr, binary, call, cast, integer, ternary
from .prelude import Prelude
from .registry import elementwise, simd
from .vector_types import VectorShape


def _helper(
    prelude: Prelude, name: str, d: Writer, parameters: str, body: Callable[[], list[str]]
) -> str:
    full = f"tc_{name}_{d.suffix}"

    def text() -> str:
        typed = ", ".join(f"{d.float_type} {letter}" for letter in parameters)
        lines = "".join(f"    {line}\n" for line in body())
        return f"static inline {d.float_type} {full}({typed})\n{{\n{lines}}}\n"

    return prelude.define(full, text)


def _element(op: Operation) -> str:
    return element_name(get_element_type_or_self(op.results[0].type))


def _scale(prelude: Prelude, d: Writer) -> str:
    """In halves, since 2^n may not be a normal number; the first product is exact.

    With m = n + 2 bias the exponent fields of both powers are m / 2 rounded down and up: what is
    above the significand of m 2^(mantissa - 1), and what is left of m 2^mantissa.
    """
    layout = LAYOUTS[d.element]
    magic = d.real(float_literal(1.5 * 2.0**layout.mantissa + 2 * layout.bias, d.element).text)
    fields = d.whole(-1 << layout.mantissa)

    def body() -> list[str]:
        t = f"const {d.int_type}"
        offset = d.bits(d.binary("add", "+", "n", magic))
        both = d.int_binary("add", "+", "half", "half")
        scaled = d.binary("mul", "*", "x", d.number("first"))
        return [
            f"{t} half = {d.shift('slli', '<<', offset, layout.mantissa - 1)};",
            f"{t} first = {d.int_binary('and', '&', 'half', fields)};",
            f"{t} second = {d.int_binary('sub', '-', both, 'first')};",
            f"return {d.binary('mul', '*', scaled, d.number('second'))};",
        ]

    return _helper(prelude, "scale", d, "xn", body)


def _is_normal(prelude: Prelude, d: Writer, shape: VectorShape) -> str:
    """The name of a test whether all lanes are positive normal numbers.

    As integers those are a range, which one signed comparison finds once it ends at the greatest.
    """
    layout, name = LAYOUTS[d.element], f"tc_is_normal_{d.suffix}"
    infinity = (2 * layout.bias + 1) << layout.mantissa
    sign = 1 << (d.width - 1)

    def text() -> str:
        moved = d.int_binary("add", "+", d.bits("x"), d.whole(sign - infinity))
        first = (1 << layout.mantissa) + sign - infinity
        below = f"{shape.prefix}_cmpgt_epi{d.width}({d.whole(first)}, {moved})"
        test = f"{shape.prefix}_movemask_{shape.suffix}({d.number(below)})"
        return f"static inline int {name}({d.float_type} x)\n{{\n    return {test} == 0;\n}}\n"

    return prelude.define(name, text)


def _split(prelude: Prelude, d: Writer, part: str) -> str:
    """e or s from the bits: an offset of the integer moves 3/4 to a power of two.

    Vectors leave early where all lanes are ordinary; subnormal numbers are made normal first.
    """
    layout = LAYOUTS[d.element]
    single = d.element == "f32"
    is_exponent = part == "exponent"
    base = 2.0**layout.mantissa + layout.bias

    def literal(value: float) -> str:
        return d.real(float_literal(value, d.element).text)

    def moved(x: str) -> str:
        offset = (layout.bias << layout.mantissa) - layout.three_quarters
        return d.int_binary("add", "+", d.bits(x), d.whole(offset))

    def exponent(bias: str) -> str:
        whole = d.shift("srli", ">>", "b", layout.mantissa)
        read = d.number(d.int_binary("or", "|", whole, d.whole(layout.rounder)))
        return d.binary("sub", "-", read, bias)

    def significand() -> str:
        fraction = d.int_binary("and", "&", "b", d.whole((1 << layout.mantissa) - 1))
        return d.number(d.int_binary("add", "+", fraction, d.whole(layout.three_quarters)))

    def body() -> list[str]:
        prelude.include("<math.h>")
        t = f"const {d.float_type}"
        infinity = d.real("INFINITY" if single else "(double)INFINITY")
        small = d.choose("LT", "<", "x", d.real(layout.smallest), "scaled", "x")
        lines = []
        if d.shape is not None:
            value = exponent(literal(base)) if is_exponent else significand()
            lines += [
                f"if (__builtin_expect({_is_normal(prelude, d, d.shape)}(x), 1)) {{",
                f"    const {d.int_type} b = {moved('x')};",
                f"    return {value};",
                "}",
            ]
        scaled = d.binary("mul", "*", "x", literal(2.0**layout.mantissa))
        lines += [f"{t} scaled = {scaled};", f"{t} y = {small};"]
        lines += [f"const {d.int_type} b = {moved('y')};"]
        if is_exponent:
            below = literal(base + layout.mantissa)
            bias = d.choose("LT", "<", "x", d.real(layout.smallest), below, literal(base))
            minus = d.real("-INFINITY" if single else "-(double)INFINITY")
            return [
                *lines,
                f"{t} e = {exponent(bias)};",
                f"{t} finite = {d.choose('LT', '<', 'x', infinity, 'e', 'x')};",
                f"return {d.choose('EQ', '==', 'x', literal(0.0), minus, 'finite')};",
            ]
        nan = d.real("NAN" if single else "(double)NAN")
        return [
            *lines,
            f"{t} s = {significand()};",
            f"{t} finite = {d.choose('LT', '<', 'x', infinity, 's', literal(1.0))};",
            f"return {d.choose('GE', '>=', 'x', literal(0.0), 'finite', nan)};",
        ]

    return _helper(prelude, part, d, "x", body)


@elementwise(ScaleOp)
def scale_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """A helper."""
    return call(_scale(prelude, Writer(prelude, _element(op), None)), *args)


@simd(ScaleOp)
def scale_simd(
    prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]
) -> Expr | None:
    """One instruction on AVX-512."""
    if shape.isa == "avx512":
        return shape.intrinsic("scalef", *args)
    return call(_scale(prelude, Writer(prelude, shape.element, shape)), *args)


@elementwise(ExponentOp, SignificandOp)
def split_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """A helper."""
    part = op.name.removeprefix("elementary.")
    return call(_split(prelude, Writer(prelude, _element(op), None), part), *args)


@simd(SignificandOp)
def significand_simd(
    prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]
) -> Expr | None:
    """One instruction on AVX-512."""
    if shape.isa == "avx512":
        return shape.intrinsic(
            "getmant", *args, Expr("_MM_MANT_NORM_p75_1p5"), Expr("_MM_MANT_SIGN_nan")
        )
    return call(_split(prelude, Writer(prelude, shape.element, shape), "significand"), *args)


@simd(ExponentOp)
def exponent_simd(
    prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]
) -> Expr | None:
    """Three instructions on AVX-512: the exponent of s is 0 or -1."""
    if shape.isa == "avx512":
        significand = shape.intrinsic(
            "getmant", *args, Expr("_MM_MANT_NORM_p75_1p5"), Expr("_MM_MANT_SIGN_nan")
        )
        below = shape.intrinsic("getexp", significand)
        return shape.intrinsic("sub", shape.intrinsic("getexp", *args), below)
    return call(_split(prelude, Writer(prelude, shape.element, shape), "exponent"), *args)


def _numbers(op: Operation) -> list[float]:
    assert isinstance(op, LookupOp)
    return [attribute.value.data for attribute in op.table]


def _constant(prelude: Prelude, numbers: list[float], element: str) -> str:
    """The name of a static array with these numbers."""
    items = [float_literal(number, element).text for number in numbers]
    stem = f"tc_table_{element}_"
    known = prelude.named_tables.setdefault((element, tuple(items)), len(prelude.named_tables))
    name = f"{stem}{known}"
    aligned = "_Alignas(64) " if prelude.isa != "scalar" else ""
    body = ", ".join(items)
    return prelude.define(
        name,
        lambda: f"static const {aligned}{C_TYPES[element]} {name}[{len(items)}] = {{{body}}};\n",
    )


@elementwise(LookupOp)
def lookup_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """A read from an array."""
    numbers = _numbers(op)
    name = _constant(prelude, numbers, _element(op))
    index = binary(args[0], "&", integer(len(numbers) - 1))
    return Expr(f"{name}[{index.text}]")


@simd(LookupOp)
def lookup_simd(
    prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]
) -> Expr | None:
    """Permutations of registers that hold the table; a gather where it needs too many."""
    target = prelude.shape(op.results[0].type)
    numbers = _numbers(op)
    name = _constant(prelude, numbers, target.element)
    p, s = target.prefix, target.suffix
    index = args[0].text
    lanes = target.lanes

    def load(start: int) -> str:
        return f"{p}_load_{s}({name}{f' + {start}' if start else ''})"

    if target.isa == "avx512" and len(numbers) == lanes:
        return Expr(f"{p}_permutexvar_{s}({index}, {load(0)})")
    if target.isa == "avx512" and len(numbers) == 2 * lanes:
        return Expr(f"{p}_permutex2var_{s}({load(0)}, {index}, {load(lanes)})")
    if target.bits == 256 and len(numbers) == lanes and target.element == "f32":
        return Expr(f"_mm256_permutevar8x32_ps({load(0)}, {index})")
    if target.bits == 256 and target.element == "f32":
        low = f"_mm256_permutevar8x32_ps({load(0)}, {index})"
        high = f"_mm256_permutevar8x32_ps({load(8)}, {index})"
        bit = f"_mm256_castsi256_ps(_mm256_slli_epi32({index}, 28))"
        return Expr(f"_mm256_blendv_ps({low}, {high}, {bit})")
    if target.bits in (128, 256):
        narrow = target.element == "f32"
        ones = f"{p}_set1_{'epi32' if narrow else 'epi64x'}({len(numbers) - 1})"
        masked = f"{p}_and_si{target.bits}({index}, {ones})"
        gather = (
            f"i32gather_ps({name}, {masked}, 4)" if narrow else f"i64gather_pd({name}, {masked}, 8)"
        )
        return Expr(f"{p}_{gather}")
    return None


@elementwise(RareOp, repeats=True)
def rare_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """A condition. The function is that of double: tanf of glibc is off by 1.5 units."""
    assert isinstance(op, RareOp)
    prelude.include("<math.h>")
    found = call(op.callee.data, args[2])
    narrowed = cast("float", found) if _element(op) == "f32" else found
    return ternary(args[0], narrowed, args[1])


@simd(RareOp)
def rare_simd(prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]) -> Expr | None:
    """A branch that is not taken unless some lane needs it."""
    assert isinstance(op, RareOp)
    target = prelude.shape(op.results[0].type)
    prelude.include("<math.h>")
    libm, narrowed = op.callee.data, "(float)" if target.element == "f32" else ""
    ctype, lane, p, s = target.c_type, C_TYPES[target.element], target.prefix, target.suffix
    mask_type = prelude.shape(op.operands[0].type).c_type
    slow = f"tc_rare_{libm}_{target.name}"
    if target.isa == "avx512":
        test, as_bits = "mask", "(unsigned)mask"
    else:
        as_bits = f"(unsigned)_mm256_movemask_{s}(_mm256_castsi256_{s}(mask))"
        if target.bits == 128 or 8 * BYTES[target.element] != target.mask.mask_lane_bits:
            return None
        test = as_bits

    def text() -> str:
        return (
            f"static __attribute__((noinline)) {ctype} {slow}_lanes"
            f"(unsigned bits, {ctype} value, {ctype} x)\n{{\n"
            f"    {lane} v[{target.lanes}], a[{target.lanes}];\n"
            f"    {p}_storeu_{s}(v, value);\n    {p}_storeu_{s}(a, x);\n"
            f"    for (int l = 0; l < {target.lanes}; ++l) {{\n"
            f"        if (bits >> l & 1u) {{\n"
            f"            v[l] = {narrowed}{libm}(a[l]);\n        }}\n    }}\n"
            f"    return {p}_loadu_{s}(v);\n}}\n\n"
            f"static inline {ctype} {slow}({mask_type} mask, {ctype} value, {ctype} x)\n{{\n"
            f"    return {test} ? {slow}_lanes({as_bits}, value, x) : value;\n}}\n"
        )

    return call(prelude.define(slow, text), *args)
