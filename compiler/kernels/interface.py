"""The arguments of a lowered kernel: what its caller gives, scratch, and conditions on sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import AffineMapAttr, ArrayAttr, IndexType, MemRefType, StringAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute
from xdsl.ir.affine import AffineExpr, AffineMap

from ...dialects.reference.loop_arithmetic import dtype_of
from .arguments import Argument, Role
from .program import KernelProgram
from .size_conditions import SizeConditions, size_conditions
from .size_expressions import shape_text


@dataclass(frozen=True)
class KernelInterface:
    """`given` in the order of the Python function, then sizes that are taken from arrays."""

    given: tuple[Argument, ...]
    scratch: tuple[Argument, ...]
    conditions: SizeConditions


def interface_of(func: FuncOp, program: KernelProgram) -> KernelInterface:
    """The interface of `program` at the loops level, whose arguments are sizes, arrays, scratch."""
    roles = [role.data for role in _array(func, "tilecast.roles") if isinstance(role, StringAttr)]
    types = [a.type for a in func.body.block.args]
    maps = _extents(func)
    explicit = [name for name in program.names if name in program.sizes]
    others = [name for name in program.names if name not in program.sizes]
    count = sum(isinstance(type, IndexType) for type in types)
    sources = {k: _extent_that_is(k, maps[count:], others) for k in range(len(explicit), count)}
    sizes = [*explicit, *(f"{array}_{d}" for array, d in sources.values())]
    arguments = {
        name: Argument(name, "size", "int64", taken_from=sources.get(k))
        for k, name in enumerate(sizes)
    }
    scratch: list[Argument] = []
    for k in range(count, len(types)):
        if roles[k] == "scratch":
            name = f"scratch_{len(scratch)}"
            scratch.append(_array_argument(name, types[k], maps[k], "out", sizes))
            continue
        name = others[k - count]
        role: Role = roles[k]  # type: ignore[assignment]
        arguments[name] = _array_argument(name, types[k], maps[k], role, sizes)
        if name in program.scalars:
            arguments[name] = Argument(name, "scalar", arguments[name].dtype)
    given = [arguments.pop(name) for name in program.names]
    context = func.attributes.get("tilecast.context")
    conditions = (
        size_conditions(context.data, sizes)
        if isinstance(context, StringAttr)
        else SizeConditions()
    )
    return KernelInterface((*given, *arguments.values()), tuple(scratch), conditions)


def _array_argument(
    name: str, type: Attribute, map: AffineMap | None, role: Role, sizes: Sequence[str]
) -> Argument:
    assert isinstance(type, MemRefType)
    dtype = dtype_of(type).name
    if map is None:
        return Argument(name, "array", dtype, type.get_shape(), role)
    shape = shape_text(map, sizes)
    is_dynamic = any(isinstance(extent, str) for extent in shape)
    text = str(AffineMapAttr(map)) if is_dynamic else None
    return Argument(name, "array", dtype, shape, role, text)


def _extent_that_is(
    size: int, maps: Sequence[AffineMap | None], names: Sequence[str]
) -> tuple[str, int]:
    """An (array, dim) whose extent is the parameter number `size`."""
    for name, map in zip(names, maps, strict=False):  # scratch has no name
        for d, expr in enumerate(map.results if map is not None else ()):
            if expr == AffineExpr.symbol(size):
                return name, d
    raise AssertionError("a parameter without an argument is the extent of an array")


def _array(func: FuncOp, name: str) -> list[Attribute]:
    found = func.attributes.get(name)
    return list(found) if isinstance(found, ArrayAttr) else []


def _extents(func: FuncOp) -> list[AffineMap | None]:
    """The map from sizes to shape of every argument; None where the type has the shape."""
    found = _array(func, "tilecast.extents")
    if not found:
        return [None for _ in func.body.block.args]
    return [map.data if isinstance(map, AffineMapAttr) else None for map in found]
