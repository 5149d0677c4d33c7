"""Rules of global and shared memory: the widest access that layouts, strides and offsets allow.

Whether an instruction applies is a question of divisibility: ldmatrix where the register layout has
the factor spatial(8,4).local(1, 4 bytes), vectors of 16, 8 or 4 bytes where it ends in local(1, n).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd, prod

from xdsl.dialects.builtin import DYNAMIC_INDEX
from xdsl.ir import SSAValue

from ....dialects.constants import integer_of
from ....dialects.tile import ops
from ....dialects.tile.register_layout import RegisterLayout, local, spatial
from ....dialects.tile.shared_layout import CHUNK
from ....dialects.tile.types import GlobalType, RegisterType, SharedType, bits_of
from .emitter import Emitter, alignment_of, emits, shared_type
from .index_text import digit, in_parentheses, index_text, scaled, summed

MOST_INT = 2**31 - 1


@emits(ops.ViewGlobalOp)
def emit_view_global(emitter: Emitter, op: ops.ViewGlobalOp) -> None:
    """A view is its pointer; the unknown extent is known by name."""
    emitter.bind(op.result, emitter.name(op.pointer))


def extents_of(emitter: Emitter, value: SSAValue) -> list[str]:
    """The extents of a global array as text."""
    view = value.owner
    assert isinstance(view, ops.ViewGlobalOp)
    sizes = [emitter.name(s) for s in view.sizes]
    return [sizes.pop(0) if n == DYNAMIC_INDEX else str(n) for n in ops.tile_of(value).extents]


@emits(ops.AllocSharedOp)
def emit_alloc_shared(emitter: Emitter, op: ops.AllocSharedOp) -> None:
    """Arrays follow each other in the block's shared memory, 128-byte aligned."""
    type = shared_type(op.result)
    name = emitter.fresh(op.result.name_hint)
    shape = "x".join(map(str, type.extents))
    emitter.line(
        f"unsigned char* const {name} = shared + {emitter.shared_bytes};  "
        f"// {shape}x{type.element}, {type.layout.swizzle}"
    )
    emitter.shared_bytes += -(-type.layout.nbytes // 128) * 128
    emitter.bind(op.result, name)


def shared_place(type: SharedType, base: str, index: Sequence[str]) -> str:
    """The address of an element: row-major, then swizzled."""
    size = bits_of(type.element) // 8
    strides = [prod(type.extents[d + 1 :]) * size for d in range(len(type.extents))]
    terms = [
        scaled(in_parentheses(text), stride)
        for text, stride in zip(index, strides, strict=True)
        if text != "0"
    ]
    offset = summed(terms)
    swizzle = type.layout.swizzle
    if swizzle.bits:
        mask = ((1 << swizzle.bits) - 1) * CHUNK
        return f"{base} + tc_swizzle<{swizzle.shift}, {mask}>({offset})"
    return f"{base} + {offset}" if offset != "0" else base


def tile_index(
    emitter: Emitter, layout: RegisterLayout, offsets: Sequence[SSAValue], element: str
) -> list[str]:
    """The index into the array of what thread `t` holds as its element `element`."""
    lead = len(offsets) - layout.rank
    index: list[str] = []
    for d, offset in enumerate(offsets):
        inner = index_text(layout, d - lead, "t", element) if d >= lead else "0"
        index.append(summed([emitter.name(offset), inner]))
    return index


def vector_elements(
    type: RegisterType, array: GlobalType | SharedType, offsets: Sequence[SSAValue]
) -> int:
    """Elements of the widest access: 16, 8 or 4 bytes, side by side, aligned; else one."""
    size = bits_of(type.element) // 8
    ones = (1,) * (type.layout.rank - 1)
    side_by_side = array.contiguous if isinstance(array, GlobalType) else array.extents[-1]
    for width in (16, 8, 4, size):
        count = width // size
        if not type.layout.is_divisible_by(local(*ones, count)):
            continue
        if side_by_side % count == 0 and alignment_of(offsets[-1]) % count == 0:
            return count
    raise AssertionError("one element is always possible")


def put_narrow(emitter: Emitter, name: str, size: int, value: str) -> None:
    """Put an element of 1 or 2 bytes into its part of a register."""
    per, bits = 4 // size, 8 * size
    place = f"{name}[i / {per}]"
    emitter.line(f"const uint32_t part = {value};")
    emitter.line(f"{place} = i % {per} ? {place} | part << i % {per} * {bits} : part;")


def take_narrow(name: str, size: int) -> str:
    """An element of 1 or 2 bytes out of its part of a register."""
    per, bits = 4 // size, 8 * size
    return f"{name}[i / {per}] >> i % {per} * {bits}"


def word_place(name: str, size: int) -> str:
    """The register with element i."""
    return f"{name} + i" if size == 4 else f"{name} + i / {4 // size}"


def word_index(size: int, ahead: int) -> str:
    """The number of the register with element i, or one behind it."""
    index = "i" if size == 4 else f"i / {4 // size}"
    return f"{index} + {ahead}" if ahead else index


@emits(ops.LoadSharedOp)
def emit_load_shared(emitter: Emitter, op: ops.LoadSharedOp) -> None:
    """ldmatrix, else vectors."""
    type, array = ops.register_of(op.result), shared_type(op.source)
    if _emit_ldmatrix(emitter, op, type, array):
        return
    name = emitter.declare(op.result)
    size = bits_of(type.element) // 8
    count = vector_elements(type, array, op.offsets)
    emitter.repeat(type.layout.locals, count)
    index = tile_index(emitter, type.layout, op.offsets, "i")
    place = shared_place(array, emitter.name(op.source), index)
    if count * size >= 4:
        emitter.line(f"tc_load<{count * size}>({word_place(name, size)}, {place});")
    else:
        put_narrow(emitter, name, size, f"tc_load_narrow<{size}>({place})")
    emitter.close()


def matrices_of(
    op: ops.LoadSharedOp, type: RegisterType, array: SharedType
) -> tuple[RegisterLayout, RegisterLayout, str] | None:
    """(one matrix, how they are dealt out, ending of the name) where ldmatrix can load a tile."""
    size = bits_of(type.element) // 8
    if size > 2 or type.layout.rank != 2:
        return None
    atom, suffix = spatial(8, 4) * local(1, 4 // size), ""
    if size == 2 and not type.layout.is_divisible_by(atom):
        atom, suffix = atom.permute((1, 0)), "_trans"
    matrices = type.layout.quotient(atom)
    per_chunk = CHUNK // size
    aligned = array.layout.row_bytes % CHUNK == 0 and alignment_of(op.offsets[-1]) % per_chunk == 0
    return None if matrices is None or not aligned else (atom, matrices, suffix)


def _emit_ldmatrix(
    emitter: Emitter, op: ops.LoadSharedOp, type: RegisterType, array: SharedType
) -> bool:
    """Matrices of 8 rows of 16 bytes; lane l points to row l % 8 of matrix l / 8.

    Where a thread holds neighbours of a column, matrices of 16-bit elements are transposed.
    """
    found = matrices_of(op, type, array)
    if found is None:
        return False
    atom, matrices, suffix = found
    name = emitter.declare(op.result)
    at_once = next(n for n in (4, 2, 1) if matrices.locals % n == 0)
    emitter.repeat(matrices.locals, at_once)
    matrix = "i" if at_once == 1 else f"(i + t / 8 % {at_once})"
    warps = [index_text(matrices, d, "(t / 32)", matrix, atom.shape[d]) for d in (0, 1)]
    lead = [emitter.name(o) for o in op.offsets[:-2]]
    row, column = (emitter.name(o) for o in op.offsets[-2:])
    index = [*lead, summed([row, warps[0], "t % 8"]), summed([column, warps[1]])]
    place = shared_place(array, emitter.name(op.source), index)
    emitter.line(f"tc_ldmatrix{suffix}_x{at_once}({name} + i, {place});")
    emitter.close()
    return True


@emits(ops.StoreSharedOp)
def emit_store_shared(emitter: Emitter, op: ops.StoreSharedOp) -> None:
    """Vectors."""
    type, array = ops.register_of(op.source), shared_type(op.target)
    size = bits_of(type.element) // 8
    count = vector_elements(type, array, op.offsets)
    emitter.repeat(type.layout.locals, count)
    index = tile_index(emitter, type.layout, op.offsets, "i")
    _emit_store(
        emitter,
        emitter.name(op.source),
        size,
        count,
        shared_place(array, emitter.name(op.target), index),
    )
    emitter.close()


def _emit_store(emitter: Emitter, name: str, size: int, count: int, place: str) -> None:
    if count * size >= 4:
        emitter.line(f"tc_store<{count * size}>({place}, {word_place(name, size)});")
    else:
        emitter.line(f"tc_store_narrow<{size}>({place}, {take_narrow(name, size)});")


def global_place(emitter: Emitter, value: SSAValue, index: Sequence[str]) -> str:
    """The address of an element of a global array, computed in 32 bits where these suffice."""
    type = ops.tile_of(value)
    assert isinstance(type, GlobalType)
    wide = DYNAMIC_INDEX in type.extents or _last_place(type) > MOST_INT
    terms = [str(type.start.data)] if type.start.data else []
    for text, digits in zip(index, type.dims, strict=True):
        below = 1
        found: list[str] = []
        for k, (extent, stride) in reversed(list(enumerate(digits))):
            if extent != 1 and text != "0" and stride:
                number = text
                if len(digits) > 1:
                    number = digit(f"static_cast<unsigned>({text})", below, extent, k == 0)
                if wide and stride > 1:
                    number = f"static_cast<int64_t>({number})"
                found.append(scaled(number if wide else in_parentheses(number), stride))
            below *= extent
        terms += found[::-1]
    return f"{emitter.name(value)} + {summed(terms)}"


def _last_place(type: GlobalType) -> int:
    """The offset of the last element, twice: indices of tiles go beyond the extents."""
    digits = [digit for digits in type.dims for digit in digits]
    return 2 * (type.start.data + sum(extent * stride for extent, stride in digits))


def conditions(
    emitter: Emitter,
    value: SSAValue,
    offsets: Sequence[SSAValue],
    tile: Sequence[int],
    names: Sequence[str],
) -> str:
    """Whether an element is inside, asked only for dims where it may not be."""
    asked: list[str] = []
    extents = extents_of(emitter, value)
    for d, (extent, offset, size) in enumerate(zip(extents, offsets, tile, strict=True)):
        known = integer_of(offset)
        if known is not None and extent.isdigit() and known + size <= int(extent):
            continue
        asked.append(f"{in_parentheses(names[d])} < {extent}")
    return " && ".join(asked)


@emits(ops.LoadGlobalOp)
def emit_load_global(emitter: Emitter, op: ops.LoadGlobalOp) -> None:
    """Vectors; what is outside of the array is 0."""
    type = ops.register_of(op.result)
    array = ops.tile_of(op.source)
    assert isinstance(array, GlobalType)
    name = emitter.declare(op.result)
    size = bits_of(type.element) // 8
    count = vector_elements(type, array, op.offsets)
    words = max(1, count * size // 4)
    emitter.repeat(type.layout.locals, count)
    index, inside = _checked_index(emitter, type.layout, op.source, op.offsets)
    place = global_place(emitter, op.source, index)
    if count * size < 4:
        load = f"tc_load_narrow<{size}>({place})"
        put_narrow(emitter, name, size, f"{inside} ? {load} : 0" if inside else load)
    else:
        target = word_place(name, size)
        if inside:
            for w in range(words):
                emitter.line(f"{name}[{word_index(size, w)}] = 0;")
            emitter.line(f"if ({inside})")
        emitter.line(f"{'    ' if inside else ''}tc_load<{count * size}>({target}, {place});")
    emitter.close()


def _checked_index(
    emitter: Emitter, layout: RegisterLayout, array: SSAValue, offsets: Sequence[SSAValue]
) -> tuple[list[str], str]:
    """Names of the index along each dim, and the condition that it is inside."""
    tile = (1,) * (len(offsets) - layout.rank) + layout.shape
    index: list[str] = []
    for d, text in enumerate(tile_index(emitter, layout, offsets, "i")):
        if text.isidentifier() or text.isdigit():
            index.append(text)
        else:
            name = f"i{d}"
            emitter.line(f"const int {name} = {text};")
            index.append(name)
    return index, conditions(emitter, array, offsets, tile, index)


@emits(ops.StoreGlobalOp)
def emit_store_global(emitter: Emitter, op: ops.StoreGlobalOp) -> None:
    """Vectors; where several threads hold copies, the first one stores."""
    type = ops.register_of(op.source)
    array = ops.tile_of(op.target)
    assert isinstance(array, GlobalType)
    size = bits_of(type.element) // 8
    count = vector_elements(type, array, op.offsets)
    emitter.repeat(type.layout.locals, count)
    index, inside = _checked_index(emitter, type.layout, op.target, op.offsets)
    place = global_place(emitter, op.target, index)
    asked = [part for part in (inside, *first_copies(type.layout)) if part]
    if asked:
        emitter.line(f"if ({' && '.join(asked)})")
        emitter.depth += 1
    _emit_store(emitter, emitter.name(op.source), size, count, place)
    if asked:
        emitter.depth -= 1
    emitter.close()


def first_copies(layout: RegisterLayout) -> list[str]:
    """Conditions on `t` that hold for one thread of those with copies."""
    asked: list[str] = []
    divisor = 1
    for entry in reversed(layout.spatial_modes):
        size = layout.size_of(entry)
        if entry < 0:
            asked.append(f"t / {divisor} % {size} == 0")
        divisor *= size
    return asked


@emits(ops.CopyAsyncOp)
def emit_copy_async(emitter: Emitter, op: ops.CopyAsyncOp) -> None:
    """Chunks dealt to the threads in turn; bytes behind the array's rows become 0.

    Rows that are no multiple of 4 bytes cannot be copied asynchronously: they go through registers,
    which a wait for the group covers as well.
    """
    array, target = ops.tile_of(op.source), shared_type(op.target)
    assert isinstance(array, GlobalType)
    stage = target.extents[1:]
    size = bits_of(array.element) // 8
    side_by_side = gcd(array.contiguous, stage[-1], alignment_of(op.offsets[-1]))
    width = next((w for w in (16, 8, 4) if w >= size and side_by_side % (w // size) == 0), size)
    count = width // size
    chunks = prod(stage) // count
    whole = chunks % emitter.threads == 0
    if whole:
        emitter.repeat(chunks // emitter.threads)
        emitter.line(f"const unsigned c = i * {emitter.threads} + t;")
    else:
        emitter.open(f"for (unsigned c = t; c < {chunks}; c += {emitter.threads})")
    lead = len(op.offsets) - len(stage)
    inner = _chunk_index([*stage[:-1], stage[-1] // count], count)
    index: list[str] = []
    for d, offset in enumerate(op.offsets):
        text = summed([emitter.name(offset), inner[d - lead] if d >= lead else "0"])
        if text.isidentifier() or text.isdigit():
            index.append(text)
            continue
        emitter.line(f"const int i{d} = {text};")
        index.append(f"i{d}")
    place = shared_place(target, emitter.name(op.target), [emitter.name(op.stage), *inner])
    tile = (1,) * lead + tuple(stage)
    inside = ""
    if op.in_bounds is None:
        inside = conditions(emitter, op.source, op.offsets, tile, index)
    array_name = emitter.name(op.source)
    source = global_place(emitter, op.source, index)
    if width < 4:
        load = f"tc_load_narrow<{size}>({source})"
        emitter.line(
            f"tc_store_narrow<{size}>({place}, {f'{inside} ? {load} : 0' if inside else load});"
        )
    elif inside:
        inner_place = source.removeprefix(f"{array_name} + ")
        emitter.line(f"const bool inside = {inside};")
        emitter.line(
            f"tc_copy_async<{width}>({place}, {array_name} + (inside ? {inner_place} : 0), "
            f"inside ? {width} : 0);"
        )
    else:
        emitter.line(f"tc_copy_async<{width}>({place}, {source}, {width});")
    emitter.close()


def _chunk_index(shape: Sequence[int], count: int) -> list[str]:
    """The index of chunk `c` along each dim, in elements."""
    index: list[str] = []
    for d, extent in enumerate(shape):
        divisor = prod(shape[d + 1 :])
        text = "c" if divisor == 1 else f"c / {divisor}"
        if d > 0 and prod(shape[:d]) > 1:
            text = f"{text} % {extent}"
        if extent == 1:
            text = "0"
        scale = count if d == len(shape) - 1 else 1
        index.append(text if text == "0" else scaled(text, scale))
    return index
