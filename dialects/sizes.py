"""Sizes that are known when a program runs: polynomials over bounded symbols.

A symbol is chosen by the caller, or is the quotient of a size by a number, rounded down. `Size` has
the arithmetic of whole numbers, so that shape arithmetic is written once for numbers and symbols;
what would need the value (a loop over it, an undecided comparison) raises SymbolicSizeError. A
result that is the same for all values of the symbols is a plain int.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import gcd, prod
from typing import Any

from .errors import SymbolicSizeError

SYMBOL = re.compile(r"(?P<name>[A-Za-z_]\w*)\[(?P<low>\d+)\.\.(?P<high>\d+)\]")


@dataclass(frozen=True)
class Symbol:
    """A size that the caller chooses, from `low` (at least 1) to `high`.

    One with a `dividend` is what follows from such sizes: the floor of dividend / divisor, where
    all numbers in the dividend are from 0 to divisor - 1.
    """

    name: str
    low: int
    high: int
    dividend: Size | None = None
    divisor: int = 1

    def __str__(self) -> str:
        if self.dividend is None:
            return f"{self.name}[{self.low}..{self.high}]"
        return self._quotient(str(self.dividend))

    def __lt__(self, other: Symbol) -> bool:
        return (self.name, self.low, self.high) < (other.name, other.low, other.high)

    @property
    def plain(self) -> str:
        """As text without bounds."""
        return self.name if self.dividend is None else self._quotient(self.dividend.plain)

    def c_text(self, names: Mapping[str, str]) -> str:
        """As a C expression over `names` for what callers choose."""
        if self.dividend is None:
            return names[self.name]
        return f"(({self.dividend.c_text(names)}) / {self.divisor})"

    def at(self, values: Mapping[str, int]) -> int:
        """The number for given values of what callers choose."""
        return (
            values[self.name] if self.dividend is None else self.dividend.at(values) // self.divisor
        )

    def _quotient(self, dividend: str) -> str:
        return f"floor(({dividend})/{self.divisor})"

    @staticmethod
    def quotient(dividend: Size, divisor: int) -> Symbol:
        """The floor of dividend / divisor, under a name that says so."""
        words = dividend.plain.replace(" + ", "_plus_").replace("*", "_times_")
        name = re.sub(r"\W+", "_", words).strip("_") + f"_over_{divisor}"
        name = name if name[0].isalpha() else f"n_{name}"
        return Symbol(name, dividend.low // divisor, dividend.high // divisor, dividend, divisor)

    @staticmethod
    def parse(text: str) -> Symbol:
        """Back from `str`."""
        if text.startswith("floor(("):
            dividend, _, divisor = text.removeprefix("floor((")[:-1].rpartition(")/")
            return Symbol.quotient(Size.parse(dividend), int(divisor))
        found = SYMBOL.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is no symbol with bounds")
        return Symbol(found["name"], int(found["low"]), int(found["high"]))


Monomial = tuple[Symbol, ...]  # a product of symbols, sorted; () is the number 1


@dataclass(frozen=True, eq=False)
class Size:
    """Sum of coefficient * product of symbols; `terms` are sorted and at least one has a symbol."""

    terms: tuple[tuple[Monomial, int], ...]

    @staticmethod
    def of(terms: Mapping[Monomial, int]) -> Any:
        """The polynomial; an int where no symbol is left."""
        kept = {monomial: c for monomial, c in terms.items() if c}
        if not any(kept):
            return kept.get((), 0)
        return Size(tuple(sorted(kept.items())))

    @staticmethod
    def symbol(symbol: Symbol) -> Any:
        """The size that is `symbol`, an int where its bounds meet."""
        return symbol.low if symbol.low == symbol.high else Size((((symbol,), 1),))

    @staticmethod
    def parse(text: str) -> Any:
        """Back from `str`."""
        terms: dict[Monomial, int] = {}
        for term in _split(text, " + "):
            symbols, coefficient = [], 1
            for factor in _split(term, "*"):
                if re.fullmatch(r"-?\d+", factor):
                    coefficient *= int(factor)
                else:
                    symbols.append(Symbol.parse(factor))
            key = tuple(sorted(symbols))
            terms[key] = terms.get(key, 0) + coefficient
        return Size.of(terms)

    def __str__(self) -> str:
        return " + ".join(_term_text(m, c, str) for m, c in reversed(self.terms))

    __repr__ = __str__

    @property
    def plain(self) -> str:
        """As text without bounds."""
        return " + ".join(_term_text(m, c, lambda s: s.plain) for m, c in reversed(self.terms))

    def c_text(self, names: Mapping[str, str]) -> str:
        """As a C expression over `names` for the symbols."""
        return " + ".join(_term_text(m, c, lambda s: s.c_text(names)) for m, c in self.terms)

    @property
    def symbols(self) -> set[Symbol]:
        """The symbols in it that callers choose."""
        found: set[Symbol] = set()
        for symbol in self.factors:
            found |= {symbol} if symbol.dividend is None else symbol.dividend.symbols
        return found

    @property
    def factors(self) -> set[Symbol]:
        """The symbols that it is written with, quotients among them."""
        return {symbol for monomial, _ in self.terms for symbol in monomial}

    @cached_property
    def low(self) -> int:
        """The least value, or less where quotients meet other terms with their symbols."""
        return -(-self).high

    @cached_property
    def high(self) -> int:
        """The largest value, or more where quotients meet other terms with their symbols."""
        found = sum(c * prod(s.high if c > 0 else s.low for s in m) for m, c in self.terms)
        for (symbol, *rest), c in ((m, c) for m, c in self.terms if m):
            if symbol.dividend is not None and not rest:
                # divisor * floor(x / divisor) is from x - divisor + 1 to x
                others = (self - Size((((symbol,), c),))) * symbol.divisor
                most = symbol.dividend if c > 0 else symbol.dividend - (symbol.divisor - 1)
                found = min(found, upper_bound(others + most * c) // symbol.divisor)
        return found

    def at(self, values: Mapping[str, int]) -> int:
        """The number for given values of the symbols."""
        return sum(c * prod(s.at(values) for s in m) for m, c in self.terms)

    def __eq__(self, other: object) -> bool:
        # not equal for all values; broadcasting and export treat symbols as other than any number
        return isinstance(other, Size) and self.terms == other.terms

    def __hash__(self) -> int:
        return hash(self.terms)

    def __lt__(self, other: Any) -> bool:
        return _is_positive(other - self, f"{self} < {other}")

    def __gt__(self, other: Any) -> bool:
        return _is_positive(self - other, f"{self} > {other}")

    def __le__(self, other: Any) -> bool:
        return _is_positive(other - self + 1, f"{self} <= {other}")

    def __ge__(self, other: Any) -> bool:
        return _is_positive(self - other + 1, f"{self} >= {other}")

    def __bool__(self) -> bool:
        return self > 0

    def __index__(self) -> int:
        raise SymbolicSizeError(f"it needs {self} as a number")

    def __add__(self, other: Any) -> Any:
        sums = dict(self.terms)
        for monomial, c in _terms(other):
            sums[monomial] = sums.get(monomial, 0) + c
        return Size.of(sums)

    def __mul__(self, other: Any) -> Any:
        products: dict[Monomial, int] = {}
        for m, c in self.terms:
            for n, d in _terms(other):
                key = tuple(sorted((*m, *n)))
                products[key] = products.get(key, 0) + c * d
        return Size.of(products)

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self) -> Any:
        return self * -1

    def __sub__(self, other: Any) -> Any:
        return self + other * -1

    def __rsub__(self, other: Any) -> Any:
        return other + self * -1

    def __floordiv__(self, other: Any) -> Any:
        quotient = exact_quotient(self, other)
        if quotient is None and isinstance(other, int) and other > 0:
            quotient = _floor_quotient(self, other)
        if quotient is None:
            raise SymbolicSizeError(f"it needs ({self}) / ({other}), which does not divide evenly")
        return quotient

    def __rfloordiv__(self, other: Any) -> Any:
        raise SymbolicSizeError(f"it needs {other} / ({self})")

    def __mod__(self, other: Any) -> Any:
        return self - (self // other) * other

    def __truediv__(self, other: Any) -> Any:
        raise SymbolicSizeError(f"it needs ({self}) / {other}")

    def __rtruediv__(self, other: Any) -> Any:
        raise SymbolicSizeError(f"it needs {other} / ({self})")

    def __float__(self) -> float:
        raise SymbolicSizeError(f"it needs {self} as a number")


def _is_positive(size: Any, question: str) -> bool:
    if lower_bound(size) > 0:
        return True
    if upper_bound(size) <= 0:
        return False
    raise SymbolicSizeError(f"it depends on whether {question}")


def _term_text(monomial: Monomial, coefficient: int, name: Any) -> str:
    factors = [name(symbol) for symbol in monomial]
    if coefficient != 1 or not factors:
        factors.insert(0, str(coefficient))
    return "*".join(factors)


def _terms(value: Any) -> Iterable[tuple[Monomial, int]]:
    if isinstance(value, Size):
        return value.terms
    if isinstance(value, int):
        return [((), value)]
    raise SymbolicSizeError(f"no arithmetic of sizes with {type(value).__name__} {value}")


def exact_quotient(size: Any, divisor: Any) -> Any:
    """size / divisor where that is a polynomial without remainder, else None."""
    if isinstance(size, int) and isinstance(divisor, int):
        return size // divisor if divisor and size % divisor == 0 else None
    ((monomial, factor), *rest) = _terms(divisor)
    if rest or not factor:
        return 1 if size == divisor else None
    result: dict[Monomial, int] = {}
    for m, c in _terms(size):
        if not c:
            continue
        left = list(m)
        for symbol in monomial:
            if symbol not in left:
                return None
            left.remove(symbol)
        if c % factor:
            return None
        result[tuple(left)] = c // factor
    return Size.of(result)


def _floor_quotient(size: Size, divisor: int) -> Any:
    """floor(size / divisor), the same for all ways to write it; None if it may be negative."""
    if size.low < 0:
        return None
    whole = Size.of({m: c // divisor for m, c in size.terms})  # 2 * n + 1 over 2 is n, and 1/2
    rest: Any = Size.of({m: c % divisor for m, c in size.terms})
    if isinstance(rest, int):
        return whole
    offset = dict(rest.terms).get((), 0)
    common = gcd(divisor, *(c for m, c in rest.terms if m))
    rest, divisor = exact_quotient(rest - offset, common) + offset // common, divisor // common
    (monomial, c), *others = (term for term in rest.terms if term[0])
    symbol = monomial[0]
    if not others and c == len(monomial) == 1 and symbol.dividend is not None:
        inner = symbol.dividend + (rest - Size.symbol(symbol)) * symbol.divisor
        return whole + inner // (divisor * symbol.divisor)
    return whole + Size.symbol(Symbol.quotient(rest, divisor))


def _split(text: str, separator: str) -> list[str]:
    """The parts of `text` between separators outside of parentheses."""
    parts = [""]
    for piece in text.split(separator):
        if parts[-1].count("(") > parts[-1].count(")"):
            parts[-1] += separator + piece
        else:
            parts.append(piece)
    return parts[1:]


def upper_bound(size: Any) -> int:
    """The largest value of a size or number."""
    return size.high if isinstance(size, Size) else int(size)


def lower_bound(size: Any) -> int:
    """The least value of a size or number."""
    return size.low if isinstance(size, Size) else int(size)


def value_at(size: Any, values: Mapping[str, int]) -> int:
    """The number that `size` is for given values of its symbols."""
    return size.at(values) if isinstance(size, Size) else int(size)


def plain_objects(shape: Iterable[int]) -> Iterable[object]:
    """Extents as the objects they are: a `Size` is typed as an int, which it stands for."""
    return shape


def has_symbols(shape: Iterable[object]) -> bool:
    """Whether some extent is known at run time only."""
    return any(isinstance(n, Size) for n in shape)


def symbols_of(sizes: Iterable[Any]) -> list[Symbol]:
    """All symbols of some sizes that callers choose, each once, in order."""
    found: dict[Symbol, None] = {}
    for size in sizes:
        if isinstance(size, Size):
            found |= dict.fromkeys(sorted(size.symbols))
    return list(found)


def factors_of(sizes: Iterable[Any]) -> list[Symbol]:
    """All symbols that some sizes are written with, quotients too, each once, in order."""
    found: dict[Symbol, None] = {}
    for size in sizes:
        if isinstance(size, Size):
            found |= dict.fromkeys(sorted(size.factors))
    return list(found)
