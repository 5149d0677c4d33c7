"""Turn functions of affine loops over memrefs into scops.

before: func.func @k(%A: memref<..>) { affine.for %i ... { affine.store %v, %A[%i] } }
after:  poly.scop @k: one statement per store, with the loads and arithmetic that feed it
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects import affine, memref
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    AffineMapAttr,
    ArrayAttr,
    MemRefType,
    ModuleOp,
    NoneAttr,
    StringAttr,
    UnitAttr,
)
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.ir.affine import AffineConstantExpr, AffineExpr, AffineMap
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from ....dialects.affine import IfOp
from ....dialects.errors import LoweringError, TilecastError
from ....dialects.poly import ArrayOp, ScopOp, StatementOp
from ..parameters import Parameters, not_negative, parameters_of
from ..positions import set_positions
from ..sets import IslSet, domain_text, isl
from .affine_reductions import reduction_of
from .array_roles import context_of_accesses, roles_of
from .index_values import IndexValues
from .iteration_domain import IterationDomain
from .program_order import loads_to_keep
from .statement_slice import StatementSlice


def array_type(type: Attribute) -> MemRefType[Attribute]:
    """The array that stores a function argument or local; a scalar is an array of rank 0."""
    if not isinstance(type, MemRefType):
        return MemRefType(type, [])
    if not isinstance(type.layout, NoneAttr):
        raise LoweringError(f"extract-affine: expected a row-major memref, found {type}")
    return type


@dataclass
class AffineScopBuilder:
    """Walks a function in program order and appends arrays and statements to `block`.

    `context` are the sizes for which the program so far is defined.
    """

    block: Block
    arrays: dict[SSAValue, SSAValue]
    loads_to_keep: set[affine.LoadOp]
    parameters: Parameters
    context: IslSet
    indices: IndexValues
    kept: dict[affine.LoadOp, SSAValue] = field(default_factory=dict)
    statements: list[StatementOp] = field(default_factory=list)

    def walk(self, block: Block, domain: IterationDomain, path: tuple[int, ...]) -> None:
        """Extract the ops of a body whose loops stand at `path`; children count from 0."""
        self._walk(block, domain, path, 0)

    def _walk(
        self, block: Block, domain: IterationDomain, path: tuple[int, ...], child: int
    ) -> int:
        for op in block.ops:
            try:
                child += self._visit(op, domain, path, child)
            except TilecastError as error:
                location = op.attributes.get("loc")
                if isinstance(location, StringAttr) and location.data not in str(error):
                    raise type(error)(f"{location.data}: {error}") from error
                raise
        return child

    def _visit(
        self, op: Operation, domain: IterationDomain, path: tuple[int, ...], child: int
    ) -> int:
        """Extract `op` at child number `child`; the number of children that it makes."""
        match op:
            case affine.StoreOp():
                self._store(op, domain, (*path, child))
                return 1
            case affine.LoadOp() if op in self.loads_to_keep:
                self._keep(op, domain, (*path, child))
                return 1
            case affine.ForOp():
                if op.inits:
                    raise LoweringError("extract-affine: affine.for with iter_args has no rule")
                self._walk(op.body.block, domain.inside(op, self.indices), (*path, child), 0)
                return 1
            case IfOp():
                if op.results:
                    raise LoweringError("extract-affine: affine.if with results has no rule")
                then, other = domain.branches(op, self.indices)
                next_child = self._walk(op.then_region.block, then, path, child)
                if op.else_region.blocks:
                    next_child = self._walk(op.else_region.block, other, path, next_child)
                return next_child - child
            case memref.AllocOp() | memref.AllocaOp():
                self._local(op)
            case memref.DeallocOp() | ReturnOp() | affine.YieldOp() | affine.LoadOp():
                pass
            case affine.ApplyOp() | memref.DimOp():
                pass
            case _ if not op.name.startswith(("arith.", "math.")):
                raise LoweringError(f"extract-affine: no rule for {op.name}")
        return 0

    def _local(self, op: memref.AllocOp | memref.AllocaOp) -> None:
        """The array of a local; its dynamic extents must be affine in the parameters."""
        type = array_type(op.memref.type)
        given = iter(op.dynamic_sizes)
        extents = tuple(
            AffineExpr.constant(n) if n >= 0 else self.indices.of(next(given))
            for n in type.get_shape()
        )
        if any(e.used_dims() for e in extents):
            raise LoweringError("extract-affine: the shape of a local depends on a loop")
        shape = [e.value if isinstance(e, AffineConstantExpr) else DYNAMIC_INDEX for e in extents]
        self.indices.extents[op.memref] = extents
        self.context = self.context.intersect(not_negative(extents))
        type = MemRefType(type.element_type, shape)
        self.arrays[op.memref] = self._array(type, op.memref, self.parameters.map(extents))

    def _array(
        self,
        type: MemRefType[Attribute],
        named: SSAValue | None,
        extents: AffineMap | None = None,
    ) -> SSAValue:
        hint = named.name_hint if named is not None else None
        op = ArrayOp(type, hint or f"t{len(self.statements)}", extents)
        first = self.statements[0] if self.statements else None
        if first is not None:
            self.block.insert_op_before(op, first)
        else:
            self.block.add_op(op)
        return op.result

    def _slice(self, domain: IterationDomain) -> StatementSlice:
        count = len(self.parameters.names)
        return StatementSlice(domain.rank, self.indices, self.arrays, self.kept, count)

    def _map(self, domain: IterationDomain, exprs: Sequence[AffineExpr]) -> AffineMap:
        return AffineMap(domain.rank, len(self.parameters.names), tuple(exprs))

    def _append(
        self,
        target: SSAValue,
        write: AffineMap,
        part: StatementSlice,
        domain: IterationDomain,
        position: tuple[int, ...],
        reduction: str | None = None,
    ) -> None:
        statement = StatementOp(
            f"S{len(self.statements)}",
            domain.text(),
            target,
            write,
            [array for array, _ in part.reads],
            [access for _, access in part.reads],
            Region(part.block),
            reduction,
            position,
        )
        self.block.add_op(statement)
        self.statements.append(statement)
        self.context = context_of_accesses(statement, self.context)

    def _store(
        self, op: affine.StoreOp, domain: IterationDomain, position: tuple[int, ...]
    ) -> None:
        if domain.is_empty():
            return
        target = self.arrays[op.memref]
        exprs = self.indices.element(op)
        write = self._map(domain, exprs)
        part = self._slice(domain)
        reduction = reduction_of(op, part, write, domain)
        if reduction is None:
            part = self._slice(domain)
            part.finish(part.value(op.value))
        self._append(target, write, part, domain, position, reduction)

    def _keep(self, op: affine.LoadOp, domain: IterationDomain, position: tuple[int, ...]) -> None:
        if domain.is_empty():
            return
        target = self._array(MemRefType(op.result.type, []), op.result)
        part = self._slice(domain)
        part.finish(part.load(op))
        self._append(target, self._map(domain, ()), part, domain, position)
        self.kept[op] = target


def set_parameters(scop: ScopOp, parameters: Parameters, given: Sequence[SSAValue]) -> None:
    """Name the parameters, and say how the shapes of the arguments `given` depend on them."""
    if not parameters.names:
        return
    maps = [parameters.map(parameters.extents.get(a, ())) for a in given]
    scop.properties["params"] = ArrayAttr([StringAttr(name) for name in parameters.names])
    scop.properties["extents"] = ArrayAttr(
        [UnitAttr() if map is None else AffineMapAttr(map) for map in maps]
    )


def set_context(scop: ScopOp, context: IslSet) -> None:
    """Restrict every domain to the sizes for which the whole program is defined."""
    if not scop.parameters:
        return
    scop.properties["context"] = StringAttr(str(context.coalesce().remove_redundancies()))
    for statement in scop.statements:
        domain = isl.Set(statement.domain.data).intersect_params(context)
        statement.properties["domain"] = StringAttr(domain_text(domain))


def extract_affine(func: FuncOp) -> ScopOp:
    """The scop of an affine function; LoweringError where it is not a static control part."""
    if func.function_type.outputs.data:
        raise LoweringError(
            f"extract-affine: @{func.sym_name.data} returns values; write them to an array argument"
        )
    parameters = parameters_of(func)
    given = [a for a in func.body.block.args if a not in parameters.values]
    types = [array_type(a.type) for a in given]
    block = Block(arg_types=types)
    for old, new in zip(given, block.args, strict=True):
        new.name_hint = old.name_hint
    arrays: dict[SSAValue, SSAValue] = dict(zip(given, block.args, strict=True))
    scop = ScopOp(func.sym_name.data, ["in"] * len(types), Region(block))
    set_parameters(scop, parameters, given)
    indices = IndexValues(dict(parameters.values), dict(parameters.extents))
    context = parameters.context()
    builder = AffineScopBuilder(block, arrays, loads_to_keep(func), parameters, context, indices)
    builder.walk(func.body.block, IterationDomain.whole(context), ())
    set_context(scop, builder.context)
    roles = roles_of(scop, builder.context)
    scop.properties["roles"] = ArrayAttr([StringAttr(role) for role in roles])
    scop.properties["packs"] = ArrayAttr([UnitAttr()] * len(types))
    set_positions(scop, dict(zip(scop.statements, scop.positions, strict=True)))
    return scop


@dataclass(frozen=True)
class ExtractAffinePass(ModulePass):
    """Replace functions of affine loops by scops; declarations stay."""

    name = "extract-affine"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for func in [f for f in op.ops if isinstance(f, FuncOp) and not f.is_declaration]:
            scop = extract_affine(func)
            op.body.block.insert_op_before(scop, func)
            Rewriter.erase_op(func)
