"""Trip counts: how many values each loop takes, and what it leaves free of the statement's dims.

Loops over one dim are counted exactly, by evaluating their values for all values of the dim. Loops
over several dims (skewed, wavefronts) are taken for what their average slopes say.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ....costmodel.features.nests import Array
from ....dialects.errors import IllegalScheduleError

Values = npt.NDArray[np.int64]
LONGEST = 1 << 14  # values of a dim that are evaluated; beyond, counts are scaled
_DIM = re.compile(r"\bi(\d+)\b")
_FACTOR = re.compile(r"\b(\d+)(?=i\d)")  # isl writes 2i1 for 2*i1
_OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.FloorDiv: lambda a, b: a // b,
    ast.Div: lambda a, b: a // b,  # stands inside of floor
    ast.Mod: lambda a, b: a % b,
}


@lru_cache(maxsize=16384)
def spelled_out(text: str) -> str:
    """An isl expression in the syntax of Python."""
    return re.sub(r"\bmod\b", "%", _FACTOR.sub(r"\1*", text.strip()))


@lru_cache(maxsize=16384)
def parsed(text: str) -> ast.expr:
    """The syntax tree of an isl expression."""
    try:
        return ast.parse(spelled_out(text), mode="eval").body
    except SyntaxError as error:
        raise IllegalScheduleError(
            f"expected an expression over i0, i1, ..., found {text!r}"
        ) from error


@lru_cache(maxsize=16384)
def dims_in(text: str) -> tuple[int, ...]:
    """The dims that an expression uses."""
    return tuple(sorted({int(d) for d in _DIM.findall(spelled_out(text))}))


def evaluate(node: ast.expr, values: dict[int, Any]) -> Any:
    """The value of an expression where dim d has `values[d]`."""
    match node:
        case ast.Constant(value=int() as value):
            return value
        case ast.Name(id=name) if _DIM.fullmatch(name):
            return values[int(name[1:])]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -evaluate(operand, values)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](evaluate(left, values), evaluate(right, values))
        case ast.Call(func=ast.Name(id="floor"), args=[inner]):
            return evaluate(inner, values)
        case ast.Call(func=ast.Name(id="floord"), args=[one, other]):
            return evaluate(one, values) // evaluate(other, values)
        case ast.Call(func=ast.Name(id="ceild"), args=[one, other]):
            return -(-evaluate(one, values) // evaluate(other, values))
        case ast.Call(func=ast.Name(id="min"), args=[one, other]):
            return np.minimum(evaluate(one, values), evaluate(other, values))
        case ast.Call(func=ast.Name(id="max"), args=[one, other]):
            return np.maximum(evaluate(one, values), evaluate(other, values))
    raise IllegalScheduleError(f"no loop value: {ast.unparse(node)}")


@lru_cache(maxsize=16384)
def prefixes(texts: tuple[str, ...], dim: int, extent: int) -> tuple[float, float]:
    """(how many different tuples of `texts`, over one dim, there are for 0 <= dim < extent; for how
    many values the most frequent one is there, over their mean)."""
    count = min(extent, LONGEST)
    key: Values = np.zeros(count, np.int64)
    for text in texts:
        value = np.broadcast_to(evaluate(parsed(text), {dim: np.arange(count)}), (count,))
        pairs = key * (int(value.max()) - int(value.min()) + 1) + (value - value.min())
        key = np.unique(pairs, return_inverse=True)[1]
    different = float(key.max()) + 1
    largest = float(np.bincount(key).max()) * different / count
    return different * extent / count if different > 1 and count < extent else different, largest


@lru_cache(maxsize=16384)
def slopes(text: str, extents: tuple[int, ...]) -> tuple[float, ...]:
    """Change of the value per unit of each dim: on average, or mostly where that is more."""
    found = []
    for d in range(len(extents)):
        if d not in dims_in(text):
            found.append(0.0)
            continue
        line: Any = {e: n // 2 for e, n in enumerate(extents)}
        line[d] = np.arange(min(extents[d], LONGEST))
        value = np.broadcast_to(evaluate(parsed(text), line), line[d].shape)
        if len(value) < 2:
            found.append(0.0)
            continue
        mean = abs(float(value[-1] - value[0])) / (len(value) - 1)
        found.append(max(mean, abs(float(np.median(np.diff(value))))))
    return tuple(found)


@lru_cache(maxsize=65536)
def counted(texts: tuple[str, ...], extents: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """(trips[k], free[k, d], largest[k]) of loops with the values `texts`, outermost first."""
    depth, rank = len(texts), len(extents)
    trips, largest = np.ones(depth), np.ones(depth)
    free = np.ones((depth + 1, rank))
    free[0] = extents
    alone: dict[int, tuple[str, ...]] = {}
    mixed: set[int] = set()
    for k, text in enumerate(texts):
        free[k + 1] = free[k]
        used = [d for d in dims_in(text) if d < rank]
        if len(used) == 1 and used[0] not in mixed:
            [d] = used
            alone[d] = (*alone.get(d, ()), text)
            count, largest[k] = prefixes(alone[d], d, extents[d])
            free[k + 1, d] = extents[d] / count
            trips[k] = free[k, d] / free[k + 1, d]
        elif used:
            reach = np.asarray(slopes(text, extents)) * (free[k] - 1)
            trips[k] = 1.0 + float(reach.sum())
            later = {
                d for other in texts[k + 1 :] if len(dims_in(other)) == 1 for d in dims_in(other)
            }
            # A dim that has a loop of its own later on is fixed there, the others by this one.
            order = sorted(used, key=lambda d: (d in later, -float(reach[d])))
            left = float(trips[k])
            for d in order:
                free[k + 1, d] = max(1.0, free[k, d] / left)
                left = max(1.0, left / free[k, d])
            mixed.update(used)
    trips.setflags(write=False)
    free.setflags(write=False)
    largest.setflags(write=False)
    return trips, free, largest
