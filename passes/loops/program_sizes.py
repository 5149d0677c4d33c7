"""The sizes of a call at the program level: read from `%sizes`, multiplied and divided as asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from xdsl.dialects import arith, memref
from xdsl.dialects.builtin import IndexType, MemRefType, StringAttr, TensorType, i64
from xdsl.ir import Attribute, Operation, SSAValue

from ...dialects.graph import extents_of_type
from ...dialects.sizes import Monomial, Size, Symbol, symbols_of


def symbols_of_program(values: Iterable[SSAValue], sizes: Iterable[int]) -> list[Symbol]:
    """The symbols in the types of `values` and in `sizes`, in order."""
    found = symbols_of(
        n for v in values if isinstance(v.type, TensorType) for n in extents_of_type(v.type)
    )
    return list(dict.fromkeys([*found, *symbols_of(sizes)]))


def sizes_type(symbols: Sequence[Symbol]) -> list[Attribute]:
    """The type of the argument that holds the symbols; none where there are no symbols."""
    return [MemRefType(i64, [len(symbols)])] if symbols else []


class ProgramSizes:
    """Values of products of symbols, each computed once by ops that `add` appends."""

    def __init__(
        self, symbols: Sequence[Symbol], sizes: SSAValue, add: Callable[[Operation], SSAValue]
    ) -> None:
        self.add = add
        self.products: dict[Monomial, SSAValue] = {}
        sizes.name_hint = "sizes"
        for k, symbol in enumerate(symbols):
            at = self.number(k)
            value = add(arith.IndexCastOp(add(memref.LoadOp.get(sizes, [at])), IndexType()))
            value.name_hint = symbol.name
            self.products[symbol,] = value

    def value(self, size: int) -> SSAValue:
        """The value of a product of symbols."""
        product: object = size
        assert isinstance(product, Size)
        ((monomial, _),) = product.terms
        return self.product(monomial)

    def product(self, monomial: Monomial) -> SSAValue:
        """The value of a product of symbols, given as these."""
        if monomial not in self.products:
            first, *rest = monomial
            value = self.product((first,)) if rest else self.quotient(first)
            for symbol in rest:
                value = self.add(arith.MuliOp(value, self.product((symbol,))))
            self.products[monomial] = value
        return self.products[monomial]

    def quotient(self, symbol: Symbol) -> SSAValue:
        """The value of a symbol that is no size of the call."""
        assert symbol.dividend is not None
        total: SSAValue | None = None
        for monomial, factor in symbol.dividend.terms:
            term = self.number(factor)
            if monomial:
                term = self.add(arith.MuliOp(term, self.product(monomial)))
            total = term if total is None else self.add(arith.AddiOp(total, term))
        assert total is not None
        return self.add(arith.DivUIOp(total, self.number(symbol.divisor)))

    def number(self, value: int) -> SSAValue:
        """A constant."""
        return self.add(arith.ConstantOp.from_int_and_width(value, IndexType()))


def size_texts(symbols: Sequence[Symbol]) -> list[StringAttr]:
    """The attribute of main that names the symbols."""
    return [StringAttr(str(symbol)) for symbol in symbols]
