"""The sizes of a call at the program level: read from `%sizes`, multiplied where kernels ask."""

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
            at = add(arith.ConstantOp.from_int_and_width(k, IndexType()))
            value = add(arith.IndexCastOp(add(memref.LoadOp.get(sizes, [at])), IndexType()))
            value.name_hint = symbol.name
            self.products[symbol,] = value

    def value(self, size: int) -> SSAValue:
        """The value of a product of symbols."""
        product: object = size
        assert isinstance(product, Size)
        ((monomial, _),) = product.terms
        if monomial not in self.products:
            value = self.products[monomial[:1]]
            for symbol in monomial[1:]:
                value = self.add(arith.MuliOp(value, self.products[symbol,]))
            self.products[monomial] = value
        return self.products[monomial]


def size_texts(symbols: Sequence[Symbol]) -> list[StringAttr]:
    """The attribute of main that names the symbols."""
    return [StringAttr(str(symbol)) for symbol in symbols]
