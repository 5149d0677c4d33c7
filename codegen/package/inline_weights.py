"""Weights as C arrays, for targets without files: exact hexadecimal floats, 64-byte aligned."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from .content import Array, PackageContent
from .element_types import ElementType, element_type

HEAD = """\
/* Weights of {name} as constant arrays. */
#include "{name}_private.h"

#include <math.h>

#if defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#define ALIGNED _Alignas(64)
#elif defined(__GNUC__)
#define ALIGNED __attribute__((aligned(64)))
#else
#define ALIGNED
#endif
"""


def float_literal(value: float, suffix: str) -> str:
    """An exact C literal; NaN keeps no payload."""
    if math.isnan(value):
        return "NAN"
    if math.isinf(value):
        return "INFINITY" if value > 0 else "-INFINITY"
    digits, _, exponent = value.hex().partition("p")
    if "." in digits:
        digits = digits.rstrip("0").rstrip(".")
    return f"{digits}p{exponent}{suffix}"


def integer_literal(value: int, row: ElementType) -> str:
    """A C literal of any value of the type, its minimum included."""
    if row.name == "int64":
        return "INT64_MIN" if value == -(2**63) else f"INT64_C({value})"
    if row.name == "int32" and value == -(2**31):
        return "INT32_MIN"
    return str(value)


def literals(array: Array) -> Iterator[str]:
    """C literals of all elements in row-major order."""
    row = element_type(array.dtype.name, "weight")
    flat = np.ascontiguousarray(array).reshape(-1)
    if row.name in {"float32", "float64"}:
        suffix = "f" if row.name == "float32" else ""
        yield from (float_literal(float(v), suffix) for v in flat)
    elif row.is_float:
        yield from (str(int(v)) for v in flat.view(np.uint16))
    else:
        yield from (integer_literal(int(v), row) for v in flat)


def wrapped(items: Iterator[str], width: int = 96) -> str:
    """Comma-separated items on lines of at most about `width` characters."""
    lines: list[str] = []
    line = " "
    for item in items:
        if len(line) + len(item) + 2 > width:
            lines.append(line)
            line = " "
        line += f" {item},"
    return "\n".join([*lines, line]) + "\n"


def inline_weights_source(content: PackageContent) -> str:
    """The text of `src/NAME_weights.c` with the weights in it."""
    name = content.name
    parts = [HEAD.format(name=name)]
    for number, (symbol, array) in enumerate(content.weights.items()):
        row = element_type(array.dtype.name, f"weight {symbol}")
        shape = " x ".join(map(str, array.shape)) or "scalar"
        comment = symbol.replace("*/", "* /").replace("/*", "/ *")
        values = wrapped(literals(array)) if array.size else "  0\n"
        parts.append(
            f"\n/* {comment}: {shape} */\n"
            f"static ALIGNED const {row.c} W{number}[{max(1, array.size)}] = {{\n{values}}};\n"
        )
    stores = "".join(f"  ctx->weights[{n}] = W{n};\n" for n in range(len(content.weights)))
    parts.append(
        f"\nint {name}_load_weights({name}_context *ctx, const char *path) {{\n"
        f"  (void)ctx;\n  (void)path;\n{stores}  return {name.upper()}_OK;\n}}\n"
        f"\nvoid {name}_release_weights({name}_context *ctx) {{ (void)ctx; }}\n"
    )
    return "".join(parts)
