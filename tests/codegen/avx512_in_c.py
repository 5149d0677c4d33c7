"""AVX-512 intrinsics in plain C: what is emitted for CPUs at hand elsewhere runs on AVX2, too.

`header()` declares every intrinsic that emitted code uses (AVX-512 F, BW, DQ and VL) again as a
function over the lanes in memory, by the Intel Intrinsics Guide, and lets its name mean that
function. Inline assembly and the extensions for bytes, bf16 and matrices have no such form.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import permutations, product

SUFFIXES = {
    "ps": "float",
    "pd": "double",
    **{f"epi{bits}": f"int{bits}_t" for bits in (8, 16, 32, 64)},
    **{f"epu{bits}": f"uint{bits}_t" for bits in (8, 16, 32, 64)},
}
FLOATS = {"ps": "f", "pd": ""}  # and how C's functions of them end
SIGNED = ("epi8", "epi16", "epi32", "epi64")
MOVED = (*FLOATS, *SIGNED)  # every kind of lane: data that is moved has no sign
BYTES = {
    **{f"{sign}int{bits}_t": bits // 8 for bits in (8, 16, 32, 64) for sign in ("", "u")},
    **{"float": 4, "double": 8},
}
PREFIX = {128: "_mm", 256: "_mm256", 512: "_mm512"}
COMPARED = ("==", "<", "<=", None, "!=", ">=", ">", None)  # by the number of a comparison
HEAD = """\
#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

static inline double emulated_round(double x, int mode)
{
    switch (mode & 3) {
    case 1: return floor(x);
    case 2: return ceil(x);
    case 3: return trunc(x);
    default: return nearbyint(x);
    }
}

/* As for _MM_MANT_SIGN_nan. */
static inline double emulated_mantissa(double x, int interval)
{
    int exponent;
    const double half = frexp(x, &exponent);
    if (isnan(x) || x < 0) return NAN;
    if (x == 0 || isinf(x)) return 1;
    switch (interval) {
    case 0: return 2 * half;
    case 1: return exponent % 2 ? half * 2 : half;
    case 2: return half;
    default: return half >= 0.75 ? half : 2 * half;
    }
}

static inline int emulated_compare(double a, double b, int kind)
{
    const int u = isnan(a) || isnan(b);
    const int holds[16] = {a == b, a < b, a <= b, u, a != b, !(a < b), !(a <= b), !u,
                           u || a == b, !(a >= b), !(a > b), 0, !u && a != b, a >= b, a > b, 1};
    return holds[kind & 15];
}

static inline uint64_t emulated_logic(uint64_t a, uint64_t b, uint64_t c, int table)
{
    uint64_t r = 0;
    for (int row = 0; row < 8; ++row) {
        const uint64_t is_row = (row & 4 ? a : ~a) & (row & 2 ? b : ~b) & (row & 1 ? c : ~c);
        r |= table >> row & 1 ? is_row : 0;
    }
    return r;
}

static inline int64_t emulated_integer(double x, int bits)
{
    const double limit = ldexp(1.0, bits - 1);
    return x >= -limit && x < limit ? (int64_t)x : INT64_MIN >> (64 - bits);
}

"""
TAIL = "".join(f"#define __AVX512{part}__ 1\n" for part in ("F", "BW", "DQ", "VL"))


def register(bits: int, element: str) -> str:
    """The type of a register of lanes: __m512, __m256d, __m128i."""
    return f"__m{max(bits, 128)}" + {"float": "", "double": "d"}.get(element, "i")


@dataclass
class Header:
    """Definitions so far."""

    text: list[str] = field(default_factory=list)

    def define(self, result: str, name: str, parameters: str, *body: str) -> None:
        """One intrinsic."""
        lines = "".join(f"    {line}\n" for line in body)
        self.text.append(
            f"static inline {result} emulated{name}({parameters})\n{{\n{lines}}}\n"
            f"#undef {name}\n#define {name} emulated{name}\n\n"
        )

    def lanes(
        self,
        op: str,
        bits: int,
        suffix: str,
        lane: str,
        first: str = "",
        last: str = "",
        **others: str,
    ) -> None:
        """`_mm512_OP_SUFFIX`: each lane of the result from those of the operands a, b and c that
        `lane` reads, of the type of the suffix or of `others`; scalar parameters around them."""
        element = SUFFIXES[suffix]
        pairs = [(others.get(v, element), v) for v in "abc" if f"{v}[" in lane]
        widest = max(BYTES[e] for e in (element, *(e for e, _ in pairs)))
        count = bits // 8 // widest
        given = [f"{register(count * BYTES[e] * 8, e)} {v}_" for e, v in pairs]
        result = register(count * BYTES[element] * 8, element)
        self.define(
            result,
            f"{PREFIX[bits]}_{op}_{suffix}",
            ", ".join(filter(None, [first, *given, last])),
            *(
                f"{e} {v}[{max(count, 16 // BYTES[e])}]; memcpy({v}, &{v}_, sizeof {v});"
                for e, v in pairs
            ),
            f"{element} r[{max(count, 16 // BYTES[element])}] = {{0}};",
            f"for (int i = 0; i < {count}; ++i) r[i] = ({element})({lane});",
            f"{result} result; memcpy(&result, r, sizeof result); return result;",
        )

    def bits_of(self, op: str, bits: int, suffix: str, lane: str, last: str = "") -> None:
        """`_mm512_OP_SUFFIX_mask`: one bit for each pair of lanes of a and b."""
        element = SUFFIXES[suffix]
        count = bits // 8 // BYTES[element]
        mask, type = f"__mmask{max(count, 8)}", register(bits, element)
        self.define(
            mask,
            f"{PREFIX[bits]}_{op}_{suffix}_mask",
            f"{type} a_, {type} b_{last}",
            *(f"{element} {v}[{count}]; memcpy({v}, &{v}_, sizeof {v});" for v in "ab"),
            f"{mask} r = 0;",
            f"for (int i = 0; i < {count}; ++i) r |= ({mask})(({mask})({lane}) << i);",
            "return r;",
        )


def header() -> str:
    """The C text; for gcc with `-march=x86-64-v3`."""
    out = Header()
    for bits in PREFIX:
        add_comparisons(out, bits)
        add_selections(out, bits)
        add_integers(out, bits)
        add_gathers(out, bits)
        add_exponents(out, bits)
        add_conversions(out, bits)
    add_floats(out)
    add_lanes(out)
    add_whole(out)
    add_casts(out)
    add_halves(out)
    return HEAD + "".join(out.text) + TAIL


def add_comparisons(out: Header, bits: int) -> None:
    """Masks of what two vectors have in common."""
    chain = [f"k == {k} ? a[i] {c} b[i]" for k, c in enumerate(COMPARED) if c]
    integers = " : ".join(chain) + " : k == 7"
    for suffix in SUFFIXES:
        lane = "emulated_compare(a[i], b[i], k)" if suffix in FLOATS else integers
        out.bits_of("cmp", bits, suffix, lane, ", int k")
        if suffix in SIGNED:
            out.bits_of("test", bits, suffix, "(a[i] & b[i]) != 0")


def add_selections(out: Header, bits: int) -> None:
    """What a mask selects, loads and stores."""
    p = PREFIX[bits]
    for suffix in MOVED:
        element = SUFFIXES[suffix]
        lanes = bits // 8 // BYTES[element]
        mask, type = f"__mmask{max(lanes, 8)} m", register(bits, element)
        is_set, load = "m >> i & 1", f"(({element} const *)q)[i]"
        out.lanes("mask_blend", bits, suffix, f"{is_set} ? b[i] : a[i]", mask)
        out.lanes("maskz_mov", bits, suffix, f"{is_set} ? a[i] : 0", mask)
        out.lanes("maskz_set1", bits, suffix, f"{is_set} ? x : 0", f"{mask}, {element} x")
        out.lanes("maskz_loadu", bits, suffix, f"{is_set} ? {load} : 0", f"{mask}, void const *q")
        out.define(
            type,
            f"{p}_mask_mov_{suffix}",
            f"{type} a, {mask}, {type} b",
            f"return emulated{p}_mask_blend_{suffix}(m, a, b);",
        )
        out.define(
            type,
            f"{p}_mask_loadu_{suffix}",
            f"{type} r, {mask}, void const *q",
            f"return emulated{p}_mask_mov_{suffix}(r, m, emulated{p}_maskz_loadu_{suffix}(m, q));",
        )
        out.define(
            "void",
            f"{p}_mask_storeu_{suffix}",
            f"void *q, {mask}, {type} a_",
            f"{element} a[{lanes}]; memcpy(a, &a_, sizeof a);",
            f"for (int i = 0; i < {lanes}; ++i) if ({is_set}) (({element} *)q)[i] = a[i];",
        )


def add_integers(out: Header, bits: int) -> None:
    """Arithmetic that AVX2 lacks at this width."""
    is_new = bits == 512
    for suffix, element in SUFFIXES.items():
        if suffix in FLOATS:
            continue
        width = 8 * BYTES[element]
        u = f"(uint{width}_t)"
        if is_new or width == 64:
            out.lanes("max", bits, suffix, "a[i] > b[i] ? a[i] : b[i]")
            out.lanes("min", bits, suffix, "a[i] < b[i] ? a[i] : b[i]")
        if suffix in SIGNED and (is_new or width == 64):
            out.lanes("abs", bits, suffix, f"a[i] < 0 ? -{u}a[i] : {u}a[i]")
            out.lanes("mullo", bits, suffix, "(uint64_t)a[i] * (uint64_t)b[i]")
        if suffix in ("epi32", "epi64"):
            logic = f"emulated_logic({u}a[i], {u}b[i], {u}c[i], k)"
            out.lanes("ternarylogic", bits, suffix, logic, last="int k")
        if suffix in SIGNED and is_new:
            out.lanes("add", bits, suffix, f"{u}a[i] + {u}b[i]")
            out.lanes("sub", bits, suffix, f"{u}a[i] - {u}b[i]")
            for op, lane in (
                ("slli", f"k < {width} ? (uint64_t)a[i] << k : 0"),
                ("srli", f"k < {width} ? {u}a[i] >> k : 0"),
                ("srai", f"a[i] >> (k < {width} ? k : {width - 1})"),
            ):
                out.lanes(op, bits, suffix, lane, last="int k")


def add_floats(out: Header) -> None:
    """Arithmetic of 512 bits."""
    for suffix, f in FLOATS.items():
        for op, lane in {
            **{"add": "a[i] + b[i]", "sub": "a[i] - b[i]"},
            **{"mul": "a[i] * b[i]", "div": "a[i] / b[i]", "sqrt": f"sqrt{f}(a[i])"},
            "max": "a[i] > b[i] ? a[i] : b[i]",
            "min": "a[i] < b[i] ? a[i] : b[i]",
            "fmadd": f"fma{f}(a[i], b[i], c[i])",
            "fmsub": f"fma{f}(a[i], b[i], -c[i])",
            "fnmadd": f"fma{f}(-a[i], b[i], c[i])",
            "fnmsub": f"fma{f}(-a[i], b[i], -c[i])",
        }.items():
            out.lanes(op, 512, suffix, lane)


def add_exponents(out: Header, bits: int) -> None:
    """Rounding, and what takes floats apart."""
    limited = "(int)fmax(-5e3, fmin(5e3, floor(b[i])))"
    special = "a[i] == 0 ? -INFINITY : a[i] * a[i]"
    for suffix, f in FLOATS.items():
        for op, lane, last in (
            ("roundscale", "emulated_round(a[i], k)", "int k"),
            ("scalef", f"isnan(b[i]) ? b[i] : scalbn{f}(a[i], {limited})", ""),
            ("getexp", f"isfinite(a[i]) && a[i] != 0 ? logb{f}(a[i]) : {special}", ""),
            ("getmant", "emulated_mantissa(a[i], k)", "int k, int sign"),
        ):
            out.lanes(op, bits, suffix, lane, last=last)


def add_lanes(out: Header) -> None:
    """What is set, and moved between lanes."""
    for suffix in MOVED:
        element = SUFFIXES[suffix]
        count, type = 64 // BYTES[element], register(512, element)
        index = f"int{8 * BYTES[element]}_t"
        out.lanes("set1", 512, suffix, "x", f"{element} x")
        out.lanes("permutexvar", 512, suffix, f"b[a[i] & {count - 1}]", a=index)
        place = f"[b[i] & {count - 1}]"
        out.lanes("permutex2var", 512, suffix, f"b[i] & {count} ? c{place} : a{place}", b=index)
        block = 16 // BYTES[element]
        for half, op in enumerate(("unpacklo", "unpackhi") if suffix in SIGNED else ()):
            place = f"[i / {block} * {block} + {half * block // 2} + i % {block} / 2]"
            out.lanes(op, 512, suffix, f"i % 2 ? b{place} : a{place}")
        if suffix == "epi8":
            out.lanes("shuffle", 512, suffix, "b[i] < 0 ? 0 : a[i / 16 * 16 + (b[i] & 15)]")
        if BYTES[element] < 4:
            continue
        for name, order in (("setr", range(count)), ("set", range(count - 1, -1, -1))):
            out.define(
                type,
                f"_mm512_{name}_{suffix}",
                ", ".join(f"{element} x{i}" for i in range(count)),
                f"const {element} r[] = {{{', '.join(f'x{i}' for i in order)}}};",
                f"{type} result; memcpy(&result, r, sizeof result); return result;",
            )


def add_whole(out: Header) -> None:
    """What takes no notice of lanes: registers in memory, and their bits."""
    for suffix in (*MOVED, "si512"):
        type = "__m512i" if suffix == "si512" else register(512, SUFFIXES[suffix])
        moved, zero = "memcpy(&r, q, sizeof r); return r;", "memset(&r, 0, sizeof r); return r;"
        for op in ("loadu", "load"):
            out.define(type, f"_mm512_{op}_{suffix}", "void const *q", f"{type} r; {moved}")
        for op in ("storeu", "store", "stream"):
            stored = f"void *q, {type} r"
            out.define("void", f"_mm512_{op}_{suffix}", stored, "memcpy(q, &r, sizeof r);")
        out.define(type, f"_mm512_setzero_{suffix}", "void", f"{type} r; {zero}")
        if suffix not in (*FLOATS, "si512"):
            continue
        for op, lane in {"and": "a & b", "andnot": "~a & b", "or": "a | b", "xor": "a ^ b"}.items():
            out.define(
                type,
                f"_mm512_{op}_{suffix}",
                f"{type} a_, {type} b_",
                "int64_t r[8]; int64_t s[8]; memcpy(r, &a_, 64); memcpy(s, &b_, 64);",
                "for (int i = 0; i < 8; ++i) { const int64_t a = r[i], b = s[i]; "
                f"r[i] = {lane}; }}",
                f"{type} result; memcpy(&result, r, 64); return result;",
            )


def add_casts(out: Header) -> None:
    """The same bits as another type, and parts of registers."""
    kinds = {"ps": "", "pd": "d", "si": "i"}
    for a, b in permutations(kinds, 2):
        names = (f"{k}512" if k == "si" else k for k in (a, b))
        out.define(
            f"__m512{kinds[b]}",
            f"_mm512_cast{'_'.join(names)}",
            f"__m512{kinds[a]} x",
            f"return (__m512{kinds[b]})x;",
        )
    for bits, (kind, letter) in product((128, 256), kinds.items()):
        small, large = f"__m{bits}{letter}", f"__m512{letter}"
        first = "memcpy(&r, &x, sizeof r); return r;"
        rest = "memset(&r, 0, sizeof r); memcpy(&r, &x, sizeof x); return r;"
        out.define(small, f"_mm512_cast{kind}512_{kind}{bits}", f"{large} x", f"{small} r; {first}")
        out.define(large, f"_mm512_cast{kind}{bits}_{kind}512", f"{small} x", f"{large} r; {rest}")
    for part, kind in (("f32x8", "ps"), ("f64x4", "pd"), ("i32x8", "epi32"), ("i64x4", "epi64")):
        large, small = (f"__m{bits}{kinds.get(kind, 'i')}" for bits in (512, 256))
        out.define(
            small,
            f"_mm512_extract{part}_{kind}",
            f"{large} x, int k",
            f"{small} r; memcpy(&r, (char *)&x + 32 * k, 32); return r;",
        )
        out.define(
            large,
            f"_mm512_insert{part}",
            f"{large} x, {small} y, int k",
            "memcpy((char *)&x + 32 * k, &y, 32); return x;",
        )


def add_gathers(out: Header, bits: int) -> None:
    """Lanes from and to addresses that are apart, under a mask."""
    p = PREFIX[bits]
    for suffix in ("ps", "pd", "epi32", "epi64"):
        element = SUFFIXES[suffix]
        for index in (32, 64):
            count = bits // 8 // max(BYTES[element], index // 8)
            type, places = register(count * BYTES[element] * 8, element), f"int{index}_t"
            mask = f"__mmask{max(count, 8)} m"
            at = register(count * index, places)
            room = (max(count, 16 // BYTES[element]), max(count, 128 // index))
            lanes = (
                f"{element} r[{room[0]}]; memcpy(r, &r_, sizeof r);",
                f"{places} x[{room[1]}]; memcpy(x, &x_, sizeof x);",
                f"for (int i = 0; i < {count}; ++i) if (m >> i & 1)",
            )
            address, size = "char *)q + (int64_t)x[i] * k", BYTES[element]
            out.define(
                type,
                f"{p}_{'mask' if bits == 512 else 'mmask'}_i{index}gather_{suffix}",
                f"{type} r_, {mask}, {at} x_, void const *q, int k",
                *lanes,
                f"    memcpy(&r[i], (const {address}, {size});",
                "memcpy(&r_, r, sizeof r); return r_;",
            )
            out.define(
                "void",
                f"{p}_mask_i{index}scatter_{suffix}",
                f"void *q, {mask}, {at} x_, {type} r_, int k",
                *lanes,
                f"    memcpy(({address}, &r[i], {size});",
            )


def add_conversions(out: Header, bits: int) -> None:
    """From one type of lane to another; as many lanes as fit of the wider one."""
    is_new = bits == 512
    for a, b in product(SUFFIXES, (*FLOATS, *SIGNED)):
        source, target = SUFFIXES[a], SUFFIXES[b]
        is_wider, is_narrower = BYTES[source] < BYTES[target], BYTES[source] > BYTES[target]
        if b in FLOATS:
            has_avx = a == "epi32" or a in FLOATS
            is_one = BYTES[source] >= 4 and a != b
        else:
            has_avx = is_wider
            is_one = a not in FLOATS and (is_wider or (is_narrower and a in SIGNED))
        if is_one and (is_new or not has_avx):
            out.lanes(f"cvt{a}", bits, b, "a[i]", a=source)
        if a in FLOATS and (b == "epi64" or (b == "epi32" and is_new)):
            for op, rounded in ((f"cvtt{a}", "trunc"), (f"cvt{a}", "nearbyint")):
                lane = f"emulated_integer({rounded}(a[i]), {8 * BYTES[target]})"
                out.lanes(op, bits, b, lane, a=source)


def add_halves(out: Header) -> None:
    """From and to floats of 16 bits."""
    out.define(
        "__m512",
        "_mm512_cvtph_ps",
        "__m256i x",
        "__m128i h[2]; __m256 f[2]; memcpy(h, &x, 32);",
        "for (int i = 0; i < 2; ++i) f[i] = _mm256_cvtph_ps(h[i]);",
        "__m512 r; memcpy(&r, f, 64); return r;",
    )
    out.define(
        "__m256i",
        "_mm512_cvtps_ph",
        "__m512 x, int k",
        "(void)k; __m128i h[2]; __m256 f[2]; memcpy(f, &x, 64);",
        "for (int i = 0; i < 2; ++i) h[i] = _mm256_cvtps_ph(f[i], 0);",
        "__m256i r; memcpy(&r, h, 32); return r;",
    )
