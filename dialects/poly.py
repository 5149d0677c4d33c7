"""`poly` dialect: a kernel as statements over integer sets, before it has loops.

A statement instance reads one element per read access, computes its body, writes one element.
Domains are isl sets in text form over anonymous tuples, `{ [i0, i1] : 0 <= i0 < 8 and ... }`.

Sizes that are known when the kernel runs are parameters: `s0`, `s1`, ... in isl texts, symbols in
affine maps. An extent that depends on them is dynamic in the memref type, an expression beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    AffineMapAttr,
    ArrayAttr,
    DenseArrayBase,
    IndexType,
    IntAttr,
    MemRefType,
    StringAttr,
    SymbolNameConstraint,
    i64,
)
from xdsl.ir import Attribute, Block, Dialect, ParametrizedAttribute, Region, SSAValue
from xdsl.ir.affine import AffineConstantExpr, AffineExpr, AffineMap, AffineSymExpr
from xdsl.irdl import (
    IRDLOperation,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.traits import IsTerminator, NoTerminator, Pure, SymbolOpInterface
from xdsl.utils.exceptions import VerifyException

REDUCTIONS = ("add", "mul", "max", "min", "and", "or")


@irdl_attr_definition
class PackAttr(ParametrizedAttribute):
    """How a packed weight is made: packed[i] = source[map(i)], zero where out of range.

    `source_shape` is the shape of the array before packing. A map with one more dim than the packed
    array makes words of pairs: that dim counts the two elements of a word.
    """

    name = "poly.pack"
    map: AffineMapAttr
    source_shape: ArrayAttr[IntAttr]

    @staticmethod
    def of(map: AffineMap, source_shape: Sequence[int]) -> PackAttr:
        """The attribute for `map` from packed index to index in `source_shape`."""
        return PackAttr(AffineMapAttr(map), ArrayAttr([IntAttr(n) for n in source_shape]))


@irdl_op_definition
class ScopOp(IRDLOperation):
    """A static control part: arrays and statements, in original program order.

    Block arguments are the kernel's arrays, `roles` says "in", "weight", "out", "inout" or
    "scratch" for each. `packs` holds a PackAttr or UnitAttr per argument. `schedule` is a list of
    schedule steps in text form, one a line.

    `params` names the parameters s0, s1, ..., `context` is the isl set of their values for which
    the kernel is defined, `[s0] -> { : s0 >= 0 }`. `extents` maps, per argument, the
    parameters to its shape where that depends on them (else it is UnitAttr). Where a program and
    not a caller gives the parameters, `sizes` says which `Size` each is.
    """

    name = "poly.scop"
    sym_name = prop_def(SymbolNameConstraint())
    roles = prop_def(ArrayAttr[StringAttr])
    packs = opt_prop_def(ArrayAttr)
    schedule = opt_prop_def(StringAttr)
    params = opt_prop_def(ArrayAttr[StringAttr])
    context = opt_prop_def(StringAttr)
    extents = opt_prop_def(ArrayAttr)
    sizes = opt_prop_def(ArrayAttr[StringAttr])
    body = region_def("single_block")
    traits = traits_def(SymbolOpInterface(), NoTerminator())

    def __init__(self, name: str, roles: Sequence[str], body: Region) -> None:
        super().__init__(
            properties={
                "sym_name": StringAttr(name),
                "roles": ArrayAttr([StringAttr(r) for r in roles]),
            },
            regions=[body],
        )

    @property
    def statements(self) -> list[StatementOp]:
        """The statements in original order."""
        return [op for op in self.body.block.ops if isinstance(op, StatementOp)]

    @property
    def ranks(self) -> dict[str, int]:
        """The number of dims of every statement, by name."""
        return {s.sym_name.data: s.rank for s in self.statements}

    def statement(self, name: str) -> StatementOp:
        """The statement called `name`; KeyError where there is none."""
        return {s.sym_name.data: s for s in self.statements}[name]

    @property
    def parameters(self) -> list[str]:
        """The names of the parameters; none where all sizes are numbers."""
        return [] if self.params is None else [name.data for name in self.params]

    @property
    def positions(self) -> list[tuple[int, ...]]:
        """The place of each statement in the original loops; without one, statement k is nest k."""
        return [
            s.place if s.place is not None else (k, *[0] * s.rank)
            for k, s in enumerate(self.statements)
        ]

    @property
    def is_sequence_of_nests(self) -> bool:
        """Whether no two statements share a loop in original order."""
        return all(s.position is None for s in self.statements)

    def verify_(self) -> None:
        if len(self.roles) != len(self.body.block.args):
            raise VerifyException("poly.scop: one role per array argument is expected")
        for k, argument in enumerate(self.body.block.args):
            assert isinstance(argument.type, MemRefType)
            check_extents(argument.type, self.extents.data[k] if self.extents is not None else None)
        names = [s.sym_name.data for s in self.statements]
        if len(set(names)) < len(names):
            raise VerifyException(f"poly.scop: two statements have one name: {', '.join(names)}")
        self._verify_positions()
        self._verify_parameters()

    def _verify_parameters(self) -> None:
        count = len(self.parameters)
        if (count > 0) != (self.context is not None):
            raise VerifyException("poly.scop: params and context are given together")
        for array in arrays_of(self):
            for extent in extents_of(array):
                if any(symbol >= count for symbol in symbols_in(extent)):
                    raise VerifyException(f"poly.scop: extent {extent} uses an unknown parameter")
        for statement in self.statements:
            for access in (statement.write.data, *statement.read_maps):
                if access.num_symbols not in (0, count):
                    raise VerifyException(
                        f"poly.statement {statement.sym_name.data}: access {access} does not have "
                        f"the {count} parameters of the scop as symbols"
                    )
                if any(s >= access.num_symbols for e in access.results for s in symbols_in(e)):
                    raise VerifyException(
                        f"poly.statement {statement.sym_name.data}: access {access} uses symbols "
                        "that it does not have"
                    )

    def _verify_positions(self) -> None:
        if len({s.position is None for s in self.statements}) > 1:
            raise VerifyException("poly.scop: either all statements have a position or none has")
        places = sorted(
            (p, s.sym_name.data) for p, s in zip(self.positions, self.statements, strict=True)
        )
        for (first, one), (second, other) in pairwise(places):
            if first == second[: len(first)]:
                raise VerifyException(
                    f"poly.scop: statements {one} and {other} stand at the same place: "
                    f"{list(first)} and {list(second)}"
                )


@irdl_op_definition
class ArrayOp(IRDLOperation):
    """A temporary array of the scop; where it is stored is decided when loops are made.

    `extents` maps the parameters to its shape where that depends on them.
    """

    name = "poly.array"
    extents = opt_prop_def(AffineMapAttr)
    result = result_def(MemRefType)
    traits = traits_def(Pure())

    def __init__(
        self, type: MemRefType[Attribute], name: str, extents: AffineMap | None = None
    ) -> None:
        super().__init__(
            result_types=[type],
            properties={"extents": None if extents is None else AffineMapAttr(extents)},
        )
        self.result.name_hint = name

    def verify_(self) -> None:
        assert isinstance(self.result.type, MemRefType)
        check_extents(self.result.type, self.extents)


@irdl_op_definition
class StatementOp(IRDLOperation):
    """for i in domain: target[write(i)] = body(sources[k][reads[k](i)] ...).

    With `reduction`, the first read is the target at the written element and the body combines it
    with one new value by that operation. Instances that update one element may be reordered; what
    the new value is computed from may be in the target too, and keeps its order.

    `position` is the statement's place in the original program (Girbal's beta vector, the constants
    of a 2d+1 schedule): entry d numbers the child of loop d-1 that holds the statement, so it has
    rank + 1 entries and instances run in the order of (p0, i0, p1, i1, ..., pn). Statements with
    equal leading entries share loops. No statement has one where each is a loop nest of its own.
    """

    name = "poly.statement"
    sym_name = prop_def(SymbolNameConstraint())
    domain = prop_def(StringAttr)
    write = prop_def(AffineMapAttr)
    reads = prop_def(ArrayAttr[AffineMapAttr])
    reduction = opt_prop_def(StringAttr)
    position = opt_prop_def(DenseArrayBase)
    target = operand_def(MemRefType)
    sources = var_operand_def(MemRefType)
    body = region_def("single_block")

    def __init__(
        self,
        name: str,
        domain: str,
        target: SSAValue,
        write: AffineMap,
        sources: Sequence[SSAValue],
        reads: Sequence[AffineMap],
        body: Region,
        reduction: str | None = None,
        position: Sequence[int] | None = None,
    ) -> None:
        super().__init__(
            operands=[target, sources],
            properties={
                "sym_name": StringAttr(name),
                "domain": StringAttr(domain),
                "write": AffineMapAttr(write),
                "reads": ArrayAttr([AffineMapAttr(r) for r in reads]),
                "reduction": None if reduction is None else StringAttr(reduction),
                "position": None if position is None else DenseArrayBase.from_list(i64, position),
            },
            regions=[body],
        )

    @property
    def rank(self) -> int:
        """Number of iteration dimensions."""
        return self.write.data.num_dims

    @property
    def read_maps(self) -> list[AffineMap]:
        """The read accesses, iteration -> element."""
        return [r.data for r in self.reads]

    @property
    def place(self) -> tuple[int, ...] | None:
        """The entries of `position`."""
        return None if self.position is None else tuple(map(int, self.position.get_values()))

    def verify_(self) -> None:
        if len(self.reads) != len(self.sources) or len(self.body.block.args) != len(self.sources):
            raise VerifyException(
                f"poly.statement {self.sym_name.data}: expected one access and one body argument "
                f"per source, got {len(self.sources)} sources, {len(self.reads)} accesses, "
                f"{len(self.body.block.args)} arguments"
            )
        if self.place is not None and len(self.place) != self.rank + 1:
            raise VerifyException(
                f"poly.statement {self.sym_name.data}: expected a position of {self.rank + 1} "
                f"entries, got {list(self.place)}"
            )
        for array, access in zip(
            (self.target, *self.sources), (self.write.data, *self.read_maps), strict=True
        ):
            assert isinstance(array.type, MemRefType)
            if access.num_dims != self.rank or len(access.results) != array.type.get_num_dims():
                raise VerifyException(
                    f"poly.statement {self.sym_name.data}: access {access} does not take "
                    f"{self.rank} dims to {array.type}"
                )
        if self.reduction is not None:
            if self.reduction.data not in REDUCTIONS:
                raise VerifyException(f"poly.statement: unknown reduction {self.reduction.data}")
            if self.sources[0] is not self.target or self.read_maps[0] != self.write.data:
                raise VerifyException(
                    "poly.statement: a reduction reads its own element as the first source"
                )


@irdl_op_definition
class IndexOp(IRDLOperation):
    """The iteration number of dimension `dim` of the enclosing statement."""

    name = "poly.index"
    dim = prop_def(IntAttr)
    result = result_def(IndexType)
    traits = traits_def(Pure())

    def __init__(self, dim: int) -> None:
        super().__init__(properties={"dim": IntAttr(dim)}, result_types=[IndexType()])


@irdl_op_definition
class ParamOp(IRDLOperation):
    """The value of parameter `index` of the enclosing scop."""

    name = "poly.param"
    index = prop_def(IntAttr)
    result = result_def(IndexType)
    traits = traits_def(Pure())

    def __init__(self, index: int) -> None:
        super().__init__(properties={"index": IntAttr(index)}, result_types=[IndexType()])


@irdl_op_definition
class YieldOp(IRDLOperation):
    """The value a statement writes."""

    name = "poly.yield"
    value = operand_def()
    traits = traits_def(IsTerminator())

    def __init__(self, value: SSAValue) -> None:
        super().__init__(operands=[value])


def arrays_of(scop: ScopOp) -> list[SSAValue]:
    """Arguments, then temporaries."""
    temporaries = [op.result for op in scop.body.block.ops if isinstance(op, ArrayOp)]
    return [*scop.body.block.args, *temporaries]


def extents_of(array: SSAValue) -> tuple[AffineExpr, ...]:
    """The extents of an array of a scop: constants, or expressions over the parameters."""
    assert isinstance(array.type, MemRefType)
    map = _extents_map(array)
    if map is not None:
        return map.results
    return tuple(AffineExpr.constant(n) for n in array.type.get_shape())


def _extents_map(array: SSAValue) -> AffineMap | None:
    owner = array.owner
    found: Attribute | None = None
    if isinstance(owner, ArrayOp):
        found = owner.extents
    elif isinstance(owner, Block):
        scop = owner.parent_op()
        if isinstance(scop, ScopOp) and scop.extents is not None:
            found = scop.extents.data[array.index]  # type: ignore[attr-defined]
    return found.data if isinstance(found, AffineMapAttr) else None


def has_dynamic_shape(array: SSAValue) -> bool:
    """Whether the shape of `array` depends on parameters."""
    assert isinstance(array.type, MemRefType)
    return any(n < 0 for n in array.type.get_shape())


def check_extents(type: MemRefType[Attribute], extents: Attribute | None) -> None:
    """VerifyException where `extents` does not describe the shape of `type`."""
    shape = type.get_shape()
    if not isinstance(extents, AffineMapAttr):
        if any(n < 0 for n in shape):
            raise VerifyException(f"poly: {type} has an unknown extent; give its `extents`")
        return
    results = extents.data.results
    constants = [e.value if isinstance(e, AffineConstantExpr) else DYNAMIC_INDEX for e in results]
    if extents.data.num_dims or constants != list(shape):
        raise VerifyException(f"poly: extents {extents.data} do not describe {type}")


def symbols_in(expr: AffineExpr) -> set[int]:
    """The positions of the symbols that `expr` uses."""
    return {e.position for e in expr.dfs() if isinstance(e, AffineSymExpr)}


Poly = Dialect("poly", [ScopOp, ArrayOp, StatementOp, IndexOp, ParamOp, YieldOp], [PackAttr])
