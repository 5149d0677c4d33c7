"""AVX-512 intrinsics in plain C: what is emitted for CPUs at hand elsewhere runs on AVX2, too.

`header()` declares every intrinsic that emitted code uses (AVX-512 F, BW, DQ and VL) again as a
function over the lanes in memory, by the Intel Intrinsics Guide, and lets its name mean that
function. Inline assembly and the extensions for bytes, bf16 and matrices have no such form.
"""

from __future__ import annotations

from dataclasses import dataclass, field

SUFFIXES = {
    "ps": "float",
    "pd": "double",
    **{f"epi{bits}": f"int{bits}_t" for bits in (8, 16, 32, 64)},
    **{f"epu{bits}": f"uint{bits}_t" for bits in (8, 16, 32, 64)},
}
SIGNED = ("epi8", "epi16", "epi32", "epi64")
MOVED = ("ps", "pd", *SIGNED)  # every kind of lane: data that is moved has no sign
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
        self, name: str, bits: int, element: str, operands: str, lane: str, more: str = ""
    ) -> None:
        """Each lane of the result `r` from those of the operands: "float a, int32_t b" are their
        elements; `more` are scalar parameters, which come first if they end in a comma."""
        pairs = [p.split() for p in operands.split(", ") if p]
        widest = max(BYTES[e] for e in (element, *(e for e, _ in pairs)))
        count = bits // 8 // widest
        given = [f"{register(count * BYTES[e] * 8, e)} {v}_" for e, v in pairs]
        before, after = ([more.rstrip(", ")], []) if more.endswith(",") else ([], [more])
        result = register(count * BYTES[element] * 8, element)
        loads = [
            f"{e} {v}[{max(count, 16 // BYTES[e])}]; memcpy({v}, &{v}_, sizeof {v});"
            for e, v in pairs
        ]
        self.define(
            result,
            name,
            ", ".join(filter(None, [*before, *given, *after])) or "void",
            *loads,
            f"{element} r[{max(count, 16 // BYTES[element])}] = {{0}};",
            f"for (int i = 0; i < {count}; ++i) r[i] = ({element})({lane});",
            f"{result} result; memcpy(&result, r, sizeof result); return result;",
        )

    def bits_of(self, name: str, bits: int, element: str, lane: str, more: str = "") -> None:
        """A mask with one bit for each pair of lanes of two operands."""
        count = bits // 8 // BYTES[element]
        mask, type = f"__mmask{max(count, 8)}", register(bits, element)
        self.define(
            mask,
            name,
            f"{type} a_, {type} b_{more}",
            *(f"{element} {v}[{count}]; memcpy({v}, &{v}_, sizeof {v});" for v in "ab"),
            f"{mask} r = 0;",
            f"for (int i = 0; i < {count}; ++i) r |= ({mask})(({mask})({lane}) << i);",
            "return r;",
        )


def header() -> str:
    """The C text; for gcc with `-march=x86-64-v3`."""
    out = Header()
    for bits, p in PREFIX.items():
        add_masks(out, bits, p)
        add_integers(out, bits, p)
        add_gathers(out, bits, p)
        for suffix, element in (("ps", "float"), ("pd", "double")):
            f = "f" if suffix == "ps" else ""
            add_exponents(out, bits, suffix, element, f)
            if bits == 512:
                add_floats(out, suffix, element, f)
    add_data(out)
    add_conversions(out)
    return HEAD + "".join(out.text) + TAIL


def add_masks(out: Header, bits: int, p: str) -> None:
    """Comparisons, and what a mask selects."""
    for suffix, element in SUFFIXES.items():
        if suffix in ("ps", "pd"):
            lane = "emulated_compare(a[i], b[i], k)"
        else:
            chain = [f"k == {k} ? a[i] {c} b[i]" for k, c in enumerate(COMPARED) if c]
            lane = " : ".join(chain) + " : k == 7"
        out.bits_of(f"{p}_cmp_{suffix}_mask", bits, element, lane, ", int k")
        if suffix in SIGNED:
            out.bits_of(f"{p}_test_{suffix}_mask", bits, element, "(a[i] & b[i]) != 0")
    for suffix in MOVED:
        element = SUFFIXES[suffix]
        lanes = bits // 8 // BYTES[element]
        mask, type = f"__mmask{max(lanes, 8)} m", register(bits, element)
        two = f"{element} a, {element} b"
        out.lanes(
            f"{p}_mask_blend_{suffix}", bits, element, two, "m >> i & 1 ? b[i] : a[i]", f"{mask},"
        )
        out.lanes(
            f"{p}_maskz_mov_{suffix}",
            bits,
            element,
            f"{element} a",
            "m >> i & 1 ? a[i] : 0",
            f"{mask},",
        )
        out.lanes(
            f"{p}_maskz_set1_{suffix}",
            bits,
            element,
            "",
            "m >> i & 1 ? x : 0",
            f"{mask}, {element} x",
        )
        out.define(
            type,
            f"{p}_mask_mov_{suffix}",
            f"{type} a, {mask}, {type} b",
            f"return emulated{p}_mask_blend_{suffix}(m, a, b);",
        )
        out.lanes(
            f"{p}_maskz_loadu_{suffix}",
            bits,
            element,
            "",
            f"m >> i & 1 ? (({element} const *)q)[i] : 0",
            f"{mask}, void const *q",
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
            f"for (int i = 0; i < {lanes}; ++i) if (m >> i & 1) (({element} *)q)[i] = a[i];",
        )


def add_integers(out: Header, bits: int, p: str) -> None:
    """Arithmetic that AVX2 lacks at this width."""
    is_new = bits == 512
    for suffix, element in SUFFIXES.items():
        if suffix in ("ps", "pd"):
            continue
        two, u = f"{element} a, {element} b", f"uint{8 * BYTES[element]}_t"
        if is_new or suffix.endswith("64"):
            out.lanes(f"{p}_max_{suffix}", bits, element, two, "a[i] > b[i] ? a[i] : b[i]")
            out.lanes(f"{p}_min_{suffix}", bits, element, two, "a[i] < b[i] ? a[i] : b[i]")
            if suffix in SIGNED:
                out.lanes(
                    f"{p}_abs_{suffix}",
                    bits,
                    element,
                    f"{element} a",
                    f"a[i] < 0 ? -({u})a[i] : ({u})a[i]",
                )
                out.lanes(
                    f"{p}_mullo_{suffix}", bits, element, two, "(uint64_t)a[i] * (uint64_t)b[i]"
                )
        if suffix in ("epi32", "epi64"):
            three = f"{element} a, {element} b, {element} c"
            logic = f"emulated_logic(({u})a[i], ({u})b[i], ({u})c[i], k)"
            out.lanes(f"{p}_ternarylogic_{suffix}", bits, element, three, logic, "int k")
        if is_new and suffix in SIGNED:
            out.lanes(f"{p}_add_{suffix}", bits, element, two, f"({u})a[i] + ({u})b[i]")
            out.lanes(f"{p}_sub_{suffix}", bits, element, two, f"({u})a[i] - ({u})b[i]")
            width, one = 8 * BYTES[element], f"{element} a"
            out.lanes(
                f"{p}_slli_{suffix}",
                bits,
                element,
                one,
                f"k < {width} ? (uint64_t)a[i] << k : 0",
                "int k",
            )
            out.lanes(
                f"{p}_srli_{suffix}",
                bits,
                element,
                one,
                f"k < {width} ? ({u})a[i] >> k : 0",
                "int k",
            )
            out.lanes(
                f"{p}_srai_{suffix}",
                bits,
                element,
                one,
                f"a[i] >> (k < {width} ? k : {width - 1})",
                "int k",
            )


def add_floats(out: Header, suffix: str, element: str, f: str) -> None:
    """Arithmetic of 512 bits."""
    two = f"{element} a, {element} b"
    lanes = {
        **{"add": "a[i] + b[i]", "sub": "a[i] - b[i]", "mul": "a[i] * b[i]", "div": "a[i] / b[i]"},
        "max": "a[i] > b[i] ? a[i] : b[i]",
        "min": "a[i] < b[i] ? a[i] : b[i]",
    }
    for name, lane in lanes.items():
        out.lanes(f"_mm512_{name}_{suffix}", 512, element, two, lane)
    out.lanes(f"_mm512_sqrt_{suffix}", 512, element, f"{element} a", f"sqrt{f}(a[i])")
    signs = {"fmadd": ("", ""), "fmsub": ("", "-"), "fnmadd": ("-", ""), "fnmsub": ("-", "-")}
    for name, (product, sum) in signs.items():
        lane = f"fma{f}({product}a[i], b[i], {sum}c[i])"
        out.lanes(f"_mm512_{name}_{suffix}", 512, element, f"{two}, {element} c", lane)


def add_exponents(out: Header, bits: int, suffix: str, element: str, f: str) -> None:
    """Rounding, and what takes floats apart."""
    p, one = PREFIX[bits], f"{element} a"
    limited = "(int)fmax(-5e3, fmin(5e3, floor(b[i])))"
    special = "a[i] == 0 ? -INFINITY : a[i] * a[i]"
    for name, operands, lane, more in (
        ("roundscale", one, "emulated_round(a[i], k)", "int k"),
        ("scalef", f"{one}, {element} b", f"isnan(b[i]) ? b[i] : scalbn{f}(a[i], {limited})", ""),
        ("getexp", one, f"isfinite(a[i]) && a[i] != 0 ? logb{f}(a[i]) : {special}", ""),
        ("getmant", one, "emulated_mantissa(a[i], k)", "int k, int sign"),
    ):
        out.lanes(f"{p}_{name}_{suffix}", bits, element, operands, lane, more)


def add_data(out: Header) -> None:
    """What is loaded, stored, set, cast, moved between lanes and gathered."""
    for suffix in MOVED:
        element = SUFFIXES[suffix]
        count, type = 64 // BYTES[element], register(512, element)
        is_float = suffix in ("ps", "pd")
        index = f"int{8 * BYTES[element]}_t"
        out.lanes(f"_mm512_set1_{suffix}", 512, element, "", "x", f"{element} x")
        out.lanes(
            f"_mm512_permutexvar_{suffix}",
            512,
            element,
            f"{index} a, {element} b",
            f"b[a[i] & {count - 1}]",
        )
        out.lanes(
            f"_mm512_permutex2var_{suffix}",
            512,
            element,
            f"{element} a, {index} b, {element} c",
            f"(b[i] & {count} ? c : a)[b[i] & {count - 1}]",
        )
        if BYTES[element] >= 4:
            for name, order in (("setr", range(count)), ("set", range(count - 1, -1, -1))):
                given = ", ".join(f"{element} x{i}" for i in range(count))
                out.define(
                    type,
                    f"_mm512_{name}_{suffix}",
                    given,
                    f"const {element} r[] = {{{', '.join(f'x{i}' for i in order)}}};",
                    f"{type} result; memcpy(&result, r, sizeof result); return result;",
                )
        names = [suffix] if is_float else ["si512", suffix] if suffix == "epi64" else [suffix]
        for name in names:
            for verb in ("loadu", "load"):
                out.define(
                    type,
                    f"_mm512_{verb}_{name}",
                    "void const *q",
                    f"{type} r; memcpy(&r, q, sizeof r); return r;",
                )
            for verb in ("storeu", "store", "stream"):
                out.define(
                    "void",
                    f"_mm512_{verb}_{name}",
                    f"void *q, {type} r",
                    "memcpy(q, &r, sizeof r);",
                )
            out.define(
                type,
                f"_mm512_setzero_{name}",
                "void",
                f"{type} r; memset(&r, 0, sizeof r); return r;",
            )
    for suffix in ("si512", "ps", "pd"):
        type = "__m512" + {"si512": "i", "ps": "", "pd": "d"}[suffix]
        for name, lane in (
            ("and", "a & b"),
            ("andnot", "~a & b"),
            ("or", "a | b"),
            ("xor", "a ^ b"),
        ):
            out.define(
                type,
                f"_mm512_{name}_{suffix}",
                f"{type} a_, {type} b_",
                "int64_t r[8]; int64_t s[8]; memcpy(r, &a_, 64); memcpy(s, &b_, 64);",
                "for (int i = 0; i < 8; ++i) { const int64_t a = r[i], b = s[i]; "
                f"r[i] = {lane}; }}",
                f"{type} result; memcpy(&result, r, 64); return result;",
            )
    kinds = {"ps": "", "pd": "d", "si": "i"}
    for a, b in ((a, b) for a in kinds for b in kinds):
        wide = {k: f"{k}512" if k == "si" else k for k in kinds}
        if a != b:
            out.define(
                f"__m512{kinds[b]}",
                f"_mm512_cast{wide[a]}_{wide[b]}",
                f"__m512{kinds[a]} x",
                f"return (__m512{kinds[b]})x;",
            )
        for bits in (128, 256):
            if a == b:
                small, large = f"__m{bits}{kinds[a]}", f"__m512{kinds[a]}"
                out.define(
                    small,
                    f"_mm512_cast{a}512_{a}{bits}",
                    f"{large} x",
                    f"{small} r; memcpy(&r, &x, sizeof r); return r;",
                )
                out.define(
                    large,
                    f"_mm512_cast{a}{bits}_{a}512",
                    f"{small} x",
                    f"{large} r; memset(&r, 0, sizeof r); memcpy(&r, &x, sizeof x); return r;",
                )
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


def add_gathers(out: Header, bits: int, p: str) -> None:
    """Lanes from and to addresses that are apart, under a mask."""
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


def add_conversions(out: Header) -> None:
    """From one type of lane to another; as many lanes as fit of the wider one."""
    for bits, p in PREFIX.items():
        is_new = bits == 512
        for a, source in SUFFIXES.items():
            for b, target in SUFFIXES.items():
                if "epu" in b or source == target or (a in ("ps", "pd") and "epi8" in b):
                    continue
                is_wide = BYTES[source] < BYTES[target] and a not in ("ps", "pd")
                is_narrow = BYTES[source] > BYTES[target] and a in SIGNED
                is_float = b in ("ps", "pd") and BYTES[source] >= 4
                has_avx = (
                    (is_wide and b in SIGNED)
                    or (a == "epi32" and is_float)
                    or ({a, b} == {"ps", "pd"})
                )
                if (is_float or (b in SIGNED and (is_wide or is_narrow))) and (
                    is_new or not has_avx
                ):
                    out.lanes(f"{p}_cvt{a}_{b}", bits, target, f"{source} a", "a[i]")
                if a in ("ps", "pd") and b in ("epi32", "epi64") and (is_new or b == "epi64"):
                    width = 8 * BYTES[target]
                    out.lanes(
                        f"{p}_cvtt{a}_{b}",
                        bits,
                        target,
                        f"{source} a",
                        f"emulated_integer(trunc(a[i]), {width})",
                    )
                    out.lanes(
                        f"{p}_cvt{a}_{b}",
                        bits,
                        target,
                        f"{source} a",
                        f"emulated_integer(nearbyint(a[i]), {width})",
                    )
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
