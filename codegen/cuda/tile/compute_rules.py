"""Rules of arithmetic on register tiles: mma, elementwise functions, casts, reductions."""

from __future__ import annotations

from math import inf

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import BFloat16Type, Float16Type, Float32Type, IntegerType
from xdsl.ir import Attribute

from ....dialects.errors import LoweringError
from ....dialects.tile import ops
from ....dialects.tile.atoms import ATOMS, E4M3, I8, Atom
from ....dialects.tile.register_layout import RegisterLayout
from ....dialects.tile.types import CodeType, bits_of
from .decode_rules import emit_decode, emit_lookup
from .emitter import Emitter, can_take_over, emits, word_type, words_of
from .index_text import index_text, scaled, summed

WARP = 32


def short(element: Attribute) -> str:
    """f16, bf16: part of the names of device functions."""
    return str(element)


def is_narrow(element: Attribute) -> bool:
    """Whether two elements share a register."""
    return isinstance(element, Float16Type | BFloat16Type)


def as_float(element: Attribute, name: str, index: str) -> str:
    """Element `index` of a tile as a float."""
    if is_narrow(element):
        return f"tc_from_{element}({name}[({index}) / 2] >> ({index}) % 2 * 16 & 0xFFFFu)"
    if element == E4M3:
        return f"tc_from_e4m3({name}[({index}) / 4] >> ({index}) % 4 * 8 & 0xFFu)"
    return f"{name}[{index}]"


@emits(ops.FillOp)
def emit_fill(emitter: Emitter, op: ops.FillOp) -> None:
    """One value everywhere."""
    type = ops.register_of(op.result)
    value = op.value.value.data
    if isinstance(type.element, Float32Type):
        text = "INFINITY" if value == inf else "-INFINITY" if value == -inf else f"{value!r}f"
    elif is_narrow(type.element):
        import ml_dtypes

        dtype = np.float16 if isinstance(type.element, Float16Type) else ml_dtypes.bfloat16
        bits = int(np.array(value, dtype).view(np.uint16))
        text = f"0x{bits * 0x10001:08X}u"
    else:
        text = str(int(value))
    name = emitter.declare(op.result)
    emitter.repeat(words_of(type))
    emitter.line(f"{name}[i] = {text};")
    emitter.close()


@emits(ops.IndicesOp)
def emit_indices(emitter: Emitter, op: ops.IndicesOp) -> None:
    """What the layout says of thread and register."""
    layout = ops.register_of(op.result).layout
    name = emitter.declare(op.result)
    emitter.repeat(layout.locals)
    index = summed([emitter.name(op.start), index_text(layout, op.dim.data, "t", "i")])
    emitter.line(f"{name}[i] = {index};")
    emitter.close()


@emits(ops.ViewOp)
def emit_view(emitter: Emitter, op: ops.ViewOp) -> None:
    """Another name for the same registers."""
    source, result = ops.register_of(op.source), ops.register_of(op.result)
    if word_type(source.element) != word_type(result.element):
        raise LoweringError(f"tile.view from {source.element} to {result.element} has no rule")
    emitter.bind(op.result, emitter.name(op.source))


@emits(ops.TransposeOp)
def emit_transpose(emitter: Emitter, op: ops.TransposeOp) -> None:
    """The same registers."""
    emitter.bind(op.result, emitter.name(op.source))


@emits(ops.DotOp)
def emit_dot(emitter: Emitter, op: ops.DotOp) -> None:
    """The first instruction whose operands divide the layouts."""
    types = [ops.register_of(v) for v in (op.lhs, op.rhs, op.accumulator)]
    elements = [type.element for type in types]
    for atom in ATOMS:
        if not atom.fits(*elements):
            continue
        plan = plan_dot(atom, *(type.layout for type in types))
        if plan is not None:
            break
    else:
        raise LoweringError(
            f"tile.dot of {', '.join(map(str, elements))}: no instruction divides the layouts "
            + ", ".join(str(type.layout) for type in types)
        )
    if can_take_over(op.accumulator, op):
        sums = emitter.name(op.accumulator)
        emitter.bind(op.result, sums)
    else:
        sums = emitter.declare(op.result)
        emitter.repeat(words_of(types[2]))
        emitter.line(f"{sums}[i] = {emitter.name(op.accumulator)}[i];")
        emitter.close()
    a, b = emitter.name(op.lhs), emitter.name(op.rhs)
    (m, n, k), strides = plan
    for extent, name in ((k, "kk"), (n, "nn"), (m, "mm")):
        emitter.repeat(extent, name=name)
    c_at, a_at, b_at = (
        f"{array} + {' + '.join(scaled(name, stride) for name, stride in places if stride) or '0'}"
        for array, places in zip((sums, a, b), strides, strict=True)
    )
    emitter.line(f"{atom.name}({c_at}, {a_at}, {b_at});")
    for _ in range(3):
        emitter.close()


PAIRS = (("mm", "nn"), ("mm", "kk"), ("nn", "kk"))
Strides = list[list[tuple[str, int]]]


def plan_dot(
    atom: Atom, lhs: RegisterLayout, rhs: RegisterLayout, accumulator: RegisterLayout
) -> tuple[tuple[int, int, int], Strides] | None:
    """Repeats along M, N, K, and how far apart the registers of each operand are; None if it fails.

    Every warp must hold the rows and columns that its part of the accumulator needs.
    """
    parts = [
        whole.quotient(part)
        for whole, part in (
            (accumulator, atom.accumulator),
            (lhs, atom.lhs),
            (rhs, atom.rhs),
        )
    ]
    if any(part is None for part in parts):
        return None
    c, a, b = (part.table() for part in parts if part is not None)
    repeats = [len(set(t[0, :, d])) for t, d in ((c, 0), (c, 1), (a, 1))]
    m, n, k = repeats
    if (c.shape[1], a.shape[1], b.shape[1]) != (m * n, m * k, n * k):
        return None
    for warp in range(c.shape[0]):
        if set(a[warp, :, 0]) != set(c[warp, :, 0]) or set(b[warp, :, 0]) != set(c[warp, :, 1]):
            return None
    words = [atom.accumulator.locals, *(_words(atom, x) for x in (atom.lhs, atom.rhs))]
    strides: Strides = []
    for table, names, size in zip((c, a, b), PAIRS, words, strict=True):
        found = _strides(table[0], size)
        if found is None:
            return None
        strides.append(list(zip(names, found, strict=True)))
    return (m, n, k), strides


def _words(atom: Atom, layout: RegisterLayout) -> int:
    return layout.locals * bits_of(atom.element) // 32


def _strides(table: npt.NDArray[np.int64], size: int) -> list[int] | None:
    """Registers between neighbours along both dims, where these are the same everywhere."""
    ranks = [{v: r for r, v in enumerate(sorted(set(table[:, d].tolist())))} for d in (0, 1)]
    at = {(ranks[0][x], ranks[1][y]): i for i, (x, y) in enumerate(table.tolist())}
    strides = [at.get((1, 0), 0) - at[0, 0], at.get((0, 1), 0) - at[0, 0]]
    if any(i != x * strides[0] + y * strides[1] for (x, y), i in at.items()):
        return None
    return [stride * size for stride in strides]


@emits(ops.CastOp)
def emit_cast(emitter: Emitter, op: ops.CastOp) -> None:
    """Codes by the sequences of `decode`; floats by conversion instructions."""
    source, result = ops.register_of(op.source), ops.register_of(op.result)
    if isinstance(source.element, CodeType):
        emit_decode(emitter, op)
        return
    a = emitter.name(op.source)
    name = emitter.declare(op.result)
    count = result.layout.locals
    if is_narrow(result.element):
        emitter.repeat(count, 2)
        low, high = (as_float(source.element, a, i) for i in ("i", "i + 1"))
        if count == 1:
            high = "0.0f"
        emitter.line(f"{name}[i / 2] = tc_pack_{short(result.element)}x2({low}, {high});")
    elif isinstance(result.element, Float32Type):
        emitter.repeat(count)
        value = as_float(source.element, a, "i")
        is_integer = isinstance(source.element, IntegerType)
        emitter.line(f"{name}[i] = {f'static_cast<float>({value})' if is_integer else value};")
    elif result.element in (I8, E4M3) and (count <= 4 or count % 4 == 0):
        emitter.repeat(count, 4)
        places = ("i", "i + 1", "i + 2", "i + 3")[:count]
        values = [as_float(source.element, a, place) for place in places]
        four = ", ".join(values + ["0.0f"] * (4 - len(values)))
        kind = "e4m3" if result.element == E4M3 else "s8"
        emitter.line(f"{name}[i / 4] = tc_pack_{kind}x4({four});")
    else:
        raise LoweringError(f"tile.cast from {source.element} to {result.element} has no rule")
    emitter.close()


emits(ops.LookupOp)(emit_lookup)

FLOAT_TEXT = {
    "add": "{a} + {b}",
    "sub": "{a} - {b}",
    "mul": "{a} * {b}",
    "div": "{a} / {b}",
    "max": "tc_max({a}, {b})",
    "min": "tc_min({a}, {b})",
    "neg": "-{a}",
    "abs": "fabsf({a})",
    "exp": "expf({a})",
    "relu": "tc_max({a}, 0.0f)",
}
PAIRED = ("add", "sub", "mul")


@emits(ops.BinaryOp, ops.UnaryOp)
def emit_elementwise(emitter: Emitter, op: ops.BinaryOp | ops.UnaryOp) -> None:
    """f32 and i32 by C operators, narrow floats two at a time or through f32."""
    function = op.function.data
    type = ops.register_of(op.results[0])
    names = [emitter.name(v) for v in op.operands]
    takes = next((v for v in op.operands if can_take_over(v, op)), None)
    if takes is not None:
        name = emitter.name(takes)
        emitter.bind(op.results[0], name)
    else:
        name = emitter.declare(op.results[0])
    if is_narrow(type.element) and function in PAIRED:
        emitter.repeat(words_of(type))
        arguments = ", ".join(f"{n}[i]" for n in names)
        emitter.line(f"{name}[i] = tc_{function}_{short(type.element)}x2({arguments});")
    elif is_narrow(type.element):
        emitter.repeat(type.layout.locals, 2)
        halves = []
        for i in ("i", "i + 1"):
            values = [as_float(type.element, n, i) for n in names]
            halves.append(FLOAT_TEXT[function].format(a=values[0], b=values[-1]))
        emitter.line(f"{name}[i / 2] = tc_pack_{short(type.element)}x2({halves[0]}, {halves[1]});")
    else:
        if not isinstance(type.element, Float32Type) and function not in PAIRED:
            raise LoweringError(f"tile.{function} of {type.element} has no rule")
        emitter.repeat(type.layout.locals)
        text = FLOAT_TEXT[function].format(a=f"{names[0]}[i]", b=f"{names[-1]}[i]")
        emitter.line(f"{name}[i] = {text};")
    emitter.close()


@emits(ops.BroadcastOp)
def emit_broadcast(emitter: Emitter, op: ops.BroadcastOp) -> None:
    """Every thread has what it needs: registers are repeated."""
    type = ops.register_of(op.result)
    source = emitter.name(op.source)
    split = type.layout.canonical.split_dim(op.dim.data, op.size.data)
    assert split is not None
    kept = kept_digits(split, op.dim.data, op.size.data, "{i}")
    name = emitter.declare(op.result)
    if is_narrow(type.element):
        emitter.repeat(type.layout.locals, 2)
        low, high = (
            f"({source}[({at}) / 2] >> ({at}) % 2 * 16 & 0xFFFFu)"
            for at in (kept.format(i="i"), kept.format(i="(i + 1)"))
        )
        emitter.line(f"{name}[i / 2] = {low} | {high} << 16;")
    else:
        emitter.repeat(type.layout.locals)
        emitter.line(f"{name}[i] = {source}[{kept.format(i='i')}];")
    emitter.close()


@emits(ops.MapOp)
def emit_map(emitter: Emitter, op: ops.MapOp) -> None:
    """A device function by the rules of C, called for every element."""
    function = emitter.scalar_function(op)
    names = [emitter.name(v) for v in op.sources]
    type = ops.register_of(op.result)
    elements = [ops.register_of(v).element for v in op.sources]
    name = emitter.declare(op.result)
    emitter.repeat(type.layout.locals)
    values = [as_float(e, n, "i") for e, n in zip(elements, names, strict=True)]
    emitter.line(f"{name}[i] = {function}({', '.join(values)});")
    emitter.close()


def kept_digits(split: RegisterLayout, dim: int, size: int, element: str) -> str:
    """The local index in the reduced layout of element `element` of the whole one."""
    terms: list[str] = []
    divisor, stride = 1, 1
    modes = split.local_modes
    for k in range(len(modes) - 1, -1, -1):
        mode, extent = modes[k], split.mode_shape[modes[k]]
        gone = split.dim_of(mode) == dim and split.stride_of(mode) < size
        if not gone:
            text = element if divisor == 1 else f"{element} / {divisor}"
            text = text if k == 0 else f"{text} % {extent}"
            terms.append(text if stride == 1 else f"{text} * {stride}")
            stride *= extent
        divisor *= extent
    return " + ".join(terms[::-1]) or "0"


@emits(ops.ReduceOp)
def emit_reduce(emitter: Emitter, op: ops.ReduceOp) -> None:
    """Registers first, then lanes in a butterfly, in an order that the layout alone fixes."""
    type = ops.register_of(op.source)
    if not isinstance(type.element, Float32Type):
        raise LoweringError(f"tile.reduce of {type.element} has no rule; cast to f32 before")
    split = type.layout.canonical
    dim, source = op.dim.data, emitter.name(op.source)
    kept = kept_digits(split, dim, split.shape[dim], "i")
    masks: list[int] = []
    divisor = 1
    for entry in reversed(split.spatial_modes):
        size = split.size_of(entry)
        if entry >= 0 and split.dim_of(entry) == dim:
            if divisor * size > WARP or size & (size - 1):
                raise LoweringError(f"tile.reduce across warps has no rule: {split}")
            masks += [divisor << bit for bit in range(size.bit_length() - 1)]
        divisor *= size
    neutral = {"add": "0.0f", "max": "-INFINITY", "min": "INFINITY"}[op.function.data]
    text = FLOAT_TEXT[op.function.data]
    name = emitter.declare(op.result)
    emitter.repeat(words_of(ops.register_of(op.result)))
    emitter.line(f"{name}[i] = {neutral};")
    emitter.close()
    emitter.repeat(split.locals)
    emitter.line(f"{name}[{kept}] = {text.format(a=f'{name}[{kept}]', b=f'{source}[i]')};")
    emitter.close()
    for mask in masks:
        emitter.repeat(words_of(ops.register_of(op.result)))
        other = f"tc_shuffle({name}[i], {mask})"
        emitter.line(f"{name}[i] = {text.format(a=f'{name}[i]', b=other)};")
        emitter.close()
