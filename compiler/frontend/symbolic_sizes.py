"""torch's symbolic sizes (sympy expressions with ranges) as `Size`, under names of our own.

A symbol is called as its torch.export.Dim, or after the first input that has it, `x_dim0`. A symbol
without an upper bound is refused: memory is planned for the largest sizes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch.export import ExportedProgram

from ...dialects.errors import InvalidInputError, SymbolicSizeError, UnsupportedOperatorError
from ...dialects.sizes import Size, Symbol
from .tensor_types import c_identifier, unique

LARGEST = 2**31 - 1


class SymbolicSizes:
    """What the symbols of one exported program are."""

    def __init__(
        self,
        program: ExportedProgram,
        names: Mapping[Any, str],
        narrowed: Mapping[str, tuple[int, int]],
    ) -> None:
        self.ranges = program.range_constraints
        self.narrowed = narrowed  # by torch's names
        self.names = names
        self.known: dict[Any, Any] = {}

    def size(self, value: Any) -> Any:
        """The int or Size that `value`, an int or a torch.SymInt, stands for."""
        if isinstance(value, int):
            return value
        return self.of_expression(value.node.expr)

    def shape(self, fake: torch.Tensor) -> tuple[Any, ...]:
        """The extents of a (fake) tensor."""
        return tuple(self.size(extent) for extent in fake.shape)

    def of_expression(self, expression: Any) -> Any:
        """The int or Size of a sympy expression; SymbolicSizeError where it is no polynomial."""
        if expression.is_Integer:
            return int(expression)
        if expression.is_Symbol:
            return self._symbol(expression)
        if expression.is_Add or expression.is_Mul:
            first, *rest = (self.of_expression(part) for part in expression.args)
            for part in rest:
                first = first + part if expression.is_Add else first * part
            return first
        if expression.is_Pow and expression.exp.is_Integer and expression.exp > 0:
            base = self.of_expression(expression.base)
            result = base
            for _ in range(int(expression.exp) - 1):
                result = result * base
            return result
        if expression.func.__name__ in ("FloorDiv", "CleanDiv", "PythonMod", "Mod"):
            left, right = (self.of_expression(part) for part in expression.args)
            is_quotient = expression.func.__name__.endswith("Div")
            return left // right if is_quotient else left % right
        raise SymbolicSizeError(f"sizes such as {expression} are not supported")

    def _symbol(self, symbol: Any) -> Any:
        if symbol not in self.known:
            bounds = self.ranges.get(symbol)
            name = self.names.get(symbol)
            if name is None or bounds is None:
                raise UnsupportedOperatorError("the shape of its result depends on the data")
            if not bounds.upper.is_Integer or int(bounds.upper) > LARGEST:
                raise InvalidInputError(
                    f"dimension {name} has no upper bound, and memory is planned for the largest "
                    f'sizes; give it one: torch.export.Dim("{name}", min=1, max=...)'
                )
            low, high = self.narrowed.get(str(symbol), (int(bounds.lower), int(bounds.upper)))
            self.known[symbol] = Size.symbol(Symbol(name, max(1, low), high))
        return self.known[symbol]


def symbol_names(named_extents: Iterable[tuple[str, Any]]) -> dict[Any, str]:
    """A C identifier for every sympy symbol in the extents of inputs, given as (name, extent)."""
    plain: dict[Any, str] = {}
    inside: dict[Any, str] = {}
    for name, extent in named_extents:
        if isinstance(extent, int):
            continue
        expression = extent.node.expr
        for symbol in sorted(expression.free_symbols, key=str):
            own = plain if expression == symbol else inside
            own.setdefault(symbol, name_of_dim(extent.node.shape_env, symbol) or name)
    names = inside | plain
    taken: set[str] = set()
    return {symbol: unique(c_identifier(name), taken) for symbol, name in names.items()}


def name_of_dim(environment: Any, symbol: Any) -> str | None:
    """What the user called the torch.export.Dim behind `symbol`, where torch still knows."""
    names = getattr(environment, "source_name_to_debug_name", {})
    for source in getattr(environment, "var_to_sources", {}).get(symbol, ()):
        name = source.name() if callable(source.name) else source.name
        found = names.get(name) or getattr(source, "source_name", None)
        if found and str(found).isidentifier() and not str(found).startswith("_"):
            return str(found)
    return None
