"""The sizes of one call: read off the shapes of its inputs, and checked against their bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ...dialects.errors import InvalidInputError, UnsupportedOperatorError
from ...dialects.sizes import Monomial, Size, Symbol, value_at

Shape = Sequence[int]


class Shaped(Protocol):
    """An input by name, with its extents."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Numbers, or a `Size` where the call chooses."""
        ...


@dataclass(frozen=True)
class SizeSource:
    """Where a symbol is found: extent `dim` of input `input` is factor * symbol + offset."""

    symbol: Symbol
    input: int
    dim: int
    factor: int
    offset: int


class CallSizes:
    """Binds `symbols` to the shapes that a call gives for `inputs`."""

    def __init__(self, symbols: Sequence[Symbol], inputs: Sequence[Shaped]) -> None:
        self.inputs = inputs
        self.sources = [size_source(symbol, inputs) for symbol in symbols]

    def bind(self, shapes: Sequence[Shape]) -> dict[str, int]:
        """The value of each symbol, in order; InvalidInputError where shapes do not fit."""
        values: dict[str, int] = {}
        for source in self.sources:
            extent = shapes[source.input][source.dim]
            value, rest = divmod(extent - source.offset, source.factor)
            symbol = source.symbol
            if rest or not symbol.low <= value <= symbol.high:
                raise self.mismatch(source.input, source.dim, extent, values)
            values[symbol.name] = value
        for k, (spec, shape) in enumerate(zip(self.inputs, shapes, strict=True)):
            for d, extent in enumerate(spec.shape):
                if shape[d] != value_at(extent, values):
                    raise self.mismatch(k, d, shape[d], values)
        return values

    def mismatch(
        self, input: int, dim: int, found: int, values: Mapping[str, int]
    ) -> InvalidInputError:
        """The error for an extent that does not fit, given the sizes known so far."""
        spec = self.inputs[input]
        expected: object = spec.shape[dim]
        if isinstance(expected, Size):
            known = ", ".join(
                f"{s.name} = {values[s.name]}" for s in sorted(expected.symbols) if s.name in values
            )
            bounds = ", ".join(f"{s.low} <= {s.name} <= {s.high}" for s in sorted(expected.symbols))
            text = f"{expected.plain} ({known or bounds})"
        else:
            text = str(expected)
        return InvalidInputError(
            f"input {spec.name!r}: expected {text} elements along dimension {dim}, found {found}; "
            "compile with other bounds in dynamic_shapes to allow it"
        )


def size_source(symbol: Symbol, inputs: Sequence[Shaped]) -> SizeSource:
    """The first extent of an input that tells what `symbol` is, plain ones before sums."""
    found = []
    for k, spec in enumerate(inputs):
        for d, extent in enumerate(spec.shape):
            size: object = extent
            terms: dict[Monomial, int] = dict(size.terms) if isinstance(size, Size) else {}
            factor, offset = terms.pop((symbol,), 0), terms.pop((), 0)
            if factor > 0 and not terms:
                found.append(SizeSource(symbol, k, d, factor, offset))
    if not found:
        raise UnsupportedOperatorError(
            f"no extent of an input tells what the size {symbol.name} is; make it an extent of one"
        )
    return min(found, key=lambda s: (s.factor, s.offset != 0))


def shape_at(spec: Shaped, values: Mapping[str, int]) -> tuple[int, ...]:
    """The shape of a tensor for given sizes."""
    return tuple(value_at(extent, values) for extent in spec.shape)
