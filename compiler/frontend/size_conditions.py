"""Conditions on sizes that torch.export met while it traced, beside the ranges of its symbols.

Slicing `x[:9]` of `2 * n` numbers gives 9 numbers if `2 * n >= 9`; the exported graph says 9, and
is wrong for other sizes. What holds for a part of one symbol's range narrows it; the model is
refused where it is no range.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from random import Random

from torch.export import ExportedProgram

from ...dialects.errors import OptionError

SIZE = re.compile(r"L((?:\[(?:'[^']*'|\d+)\])+)\.size\(\)\[(\d+)\]")
Range = tuple[int, int]
Values = Mapping[str, int]
MOST_VALUES = 1 << 16  # of one symbol that are tried one by one
POINTS = 64  # combinations of several symbols that are tried
ARITHMETIC = (
    *(ast.Expression, ast.BoolOp, ast.UnaryOp, ast.BinOp, ast.Compare, ast.Name, ast.Load),
    *(ast.Constant, ast.And, ast.Or, ast.Not, ast.USub, ast.Add, ast.Sub, ast.Mult),
    *(ast.FloorDiv, ast.Mod, ast.cmpop),
)


def narrowed_ranges(program: ExportedProgram) -> dict[str, Range]:
    """Least and largest value of symbols, by torch's name for them, where conditions narrow them.

    OptionError where the sizes that are allowed are no range.
    """
    ranges = {
        str(symbol): (int(bounds.lower), int(bounds.upper))
        for symbol, bounds in program.range_constraints.items()
        if bounds.upper.is_Integer
    }
    found = list(_conditions(program, ranges))
    result: dict[str, Range] = {}
    for text, symbols, holds in found:
        if len(symbols) == 1:
            (name,) = symbols
            result[name] = ranges[name] = _narrowed(ranges[name], text, name, holds)
    for text, symbols, holds in found:
        if not all(map(holds, _points({name: ranges[name] for name in symbols}))):
            raise _refusal(text)
    return result


def _conditions(
    program: ExportedProgram, ranges: Mapping[str, Range]
) -> Iterator[tuple[str, Sequence[str], Callable[[Values], bool]]]:
    """(text, the symbols in it, whether it holds for values of them) of what can be evaluated."""
    shapes = {
        node.name: node.meta["val"].shape
        for node in program.graph.nodes
        if node.op == "placeholder" and hasattr(node.meta.get("val"), "shape")
    }
    for text in getattr(program, "_guards_code", None) or ():
        symbols: set[str] = set()

        def extent(found: re.Match[str], symbols: set[str] = symbols) -> str:
            name = "_".join(re.findall(r"\w+", found[1]))
            value = shapes[name][int(found[2])]
            if isinstance(value, int):
                return str(value)
            symbols.update(map(str, value.node.expr.free_symbols))
            return f"({value.node.expr})"

        try:
            tree = ast.parse(SIZE.sub(extent, text), "<size condition>", "eval")
        except (KeyError, IndexError, SyntaxError):
            continue  # about something else than sizes of inputs
        if symbols and symbols <= set(ranges) and _is_arithmetic(tree, symbols):
            yield text, sorted(symbols), _evaluation(tree)


def _is_arithmetic(tree: ast.Expression, symbols: Collection[str]) -> bool:
    """Whether `tree` compares sums, products and quotients of `symbols` and numbers: the text may
    come from a file, so nothing else is evaluated."""
    return all(
        isinstance(node, ARITHMETIC)
        and (not isinstance(node, ast.Name) or node.id in symbols)
        and (not isinstance(node, ast.Constant) or isinstance(node.value, int))
        for node in ast.walk(tree)
    )


def _evaluation(tree: ast.Expression) -> Callable[[Values], bool]:
    code = compile(tree, "<size condition>", "eval")
    return lambda values: bool(eval(code, {"__builtins__": {}}, dict(values)))


def _narrowed(range_: Range, text: str, name: str, holds: Callable[[Values], bool]) -> Range:
    low, high = range_
    if high - low > MOST_VALUES:
        return range_  # the sample below decides
    good = [value for value in range(low, high + 1) if holds({name: value})]
    if not good or good[-1] - good[0] + 1 != len(good):
        raise _refusal(text)
    return good[0], good[-1]


def _points(ranges: Mapping[str, Range]) -> Iterator[dict[str, int]]:
    """The corners and some points between."""
    rng = Random(0)
    corners = itertools.islice(itertools.product(*ranges.values()), POINTS)
    yield from (dict(zip(ranges, corner, strict=True)) for corner in corners)
    for _ in range(POINTS):
        yield {name: rng.randint(*range_) for name, range_ in ranges.items()}


def _refusal(text: str) -> OptionError:

    def plain(found: re.Match[str]) -> str:
        return ".".join(re.findall(r"\w+", found[1])) + f".shape[{found[2]}]"

    readable = SIZE.sub(plain, text)
    return OptionError(
        f"dynamic_shapes: the model was exported for sizes with {readable}, which is not so "
        "everywhere within the bounds; choose bounds for which it is, or fix a dim"
    )
