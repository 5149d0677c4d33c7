"""`poly` dialect: a kernel as statements over integer sets, before it has loops.

A statement instance reads one element per read access, computes its body, writes one element.
Domains are isl sets in text form over anonymous tuples, `{ [i0, i1] : 0 <= i0 < 8 and ... }`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from xdsl.dialects.builtin import (
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
from xdsl.ir import Attribute, Dialect, ParametrizedAttribute, Region, SSAValue
from xdsl.ir.affine import AffineMap
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

    `source_shape` is the shape of the array before packing.
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
    """

    name = "poly.scop"
    sym_name = prop_def(SymbolNameConstraint())
    roles = prop_def(ArrayAttr[StringAttr])
    packs = opt_prop_def(ArrayAttr)
    schedule = opt_prop_def(StringAttr)
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

    def statement(self, name: str) -> StatementOp:
        """The statement called `name`; KeyError where there is none."""
        return {s.sym_name.data: s for s in self.statements}[name]

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
        names = [s.sym_name.data for s in self.statements]
        if len(set(names)) < len(names):
            raise VerifyException(f"poly.scop: two statements have one name: {', '.join(names)}")
        self._verify_positions()

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
    """A temporary array of the scop; where it is stored is decided when loops are made."""

    name = "poly.array"
    result = result_def(MemRefType)
    traits = traits_def(Pure())

    def __init__(self, type: MemRefType[Attribute], name: str) -> None:
        super().__init__(result_types=[type])
        self.result.name_hint = name


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
class YieldOp(IRDLOperation):
    """The value a statement writes."""

    name = "poly.yield"
    value = operand_def()
    traits = traits_def(IsTerminator())

    def __init__(self, value: SSAValue) -> None:
        super().__init__(operands=[value])


Poly = Dialect("poly", [ScopOp, ArrayOp, StatementOp, IndexOp, YieldOp], [PackAttr])
