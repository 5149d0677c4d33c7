"""The sizes of a kernel as isl parameters s0, s1, ...: one per product of symbols that occurs.

before: tensors of `batch`, `seq` and `2*batch*seq` elements
after:  s0 = batch, s1 = seq, s2 = batch*seq with extents s0, s1, 2 * s2

A product of symbols is not affine, so it is a parameter of its own; what isl has to know of it are
bounds, and how it grows with its factors. Accesses stay affine, dim by dim: where an element is in
memory follows from strides that are computed at run time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import prod
from typing import Any

from xdsl.ir.affine import AffineExpr, AffineMap

from ...dialects.sizes import Monomial, Size, has_symbols
from .sets import IslSet, box_text, declared, domain_text, expr_text, isl


class SizeParameters:
    """Numbers the products of symbols in `sizes`, in order of appearance."""

    def __init__(self, sizes: Iterable[object] = ()) -> None:
        self.numbers: dict[Monomial, int] = {}
        for size in sizes:
            for monomial, _ in size.terms if isinstance(size, Size) else ():
                if monomial:
                    self.numbers.setdefault(monomial, len(self.numbers))

    @property
    def sizes(self) -> list[Size]:
        """What each parameter is."""
        return [Size(((monomial, 1),)) for monomial in self.numbers]

    @property
    def names(self) -> list[str]:
        """A C identifier for each parameter."""
        return ["_by_".join(s.name for s in monomial) for monomial in self.numbers]

    def expr(self, size: int) -> AffineExpr:
        """A size as an affine expression over the parameters."""
        if not isinstance(size, Size):
            return AffineExpr.constant(size)
        total: AffineExpr | None = None
        for monomial, factor in reversed(size.terms):
            term = AffineExpr.symbol(self.numbers[monomial]) if monomial else None
            part = AffineExpr.constant(factor) if term is None else term * factor
            if term is not None and factor == 1:
                part = term
            total = part if total is None else total + part
        assert total is not None
        return total

    def map(self, shape: Sequence[int]) -> AffineMap | None:
        """Extents as a map from the parameters; None where all are numbers."""
        if not has_symbols(shape):
            return None
        return AffineMap(0, len(self.numbers), tuple(self.expr(n) for n in shape))

    def context(self) -> IslSet:
        """The values that the parameters may have together."""
        context = isl.Set("{ : }")
        for monomial, k in self.numbers.items():
            low, high = prod(s.low for s in monomial), prod(s.high for s in monomial)
            conditions = [f"{low} <= s{k} <= {high}"]
            for other, j in self.numbers.items():
                rest = _without(monomial, other)
                if rest:
                    least, most = prod(s.low for s in rest), prod(s.high for s in rest)
                    conditions.append(f"{least} * s{j} <= s{k} <= {most} * s{j}")
            conditions += self._quotient_bounds(monomial)
            text = " and ".join(conditions)
            context = context.intersect(isl.Set(f"{declared(text)}{{ : {text} }}"))
        return context

    def _quotient_bounds(self, monomial: Monomial) -> Iterator[str]:
        """divisor * floor(x / divisor) is from x - divisor + 1 to x, where x is known here."""
        symbol, *rest = monomial
        dividend = symbol.dividend
        if dividend is None or rest or any(m and m not in self.numbers for m, _ in dividend.terms):
            return
        x: Any = dividend  # a `Size` is typed as the int that it stands for
        text = expr_text(self.expr(x))
        multiple = f"{symbol.divisor} * s{self.numbers[monomial]}"
        yield f"{multiple} <= {text} <= {multiple} + {symbol.divisor - 1}"

    def box(self, extents: Sequence[int]) -> str:
        """The domain text of a box."""
        if not has_symbols(extents):
            return box_text(extents)
        text = box_text([expr_text(self.expr(n)) for n in extents])
        return domain_text(isl.Set(text).intersect_params(self.context()))


def _without(monomial: Monomial, factor: Monomial) -> Monomial | None:
    """monomial / factor; None where that is no product of symbols, () where they are equal."""
    left = list(monomial)
    for symbol in factor:
        if symbol not in left:
            return None
        left.remove(symbol)
    return tuple(left)
