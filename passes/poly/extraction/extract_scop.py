"""Turn every linalg kernel into a `poly.scop`.

before: func.func private @k(%x: tensor<..>) -> tensor<..> { linalg.generic ... }
after:  poly.scop @k with arrays and statements; views have become access maps
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from xdsl.builder import Builder
from xdsl.context import Context
from xdsl.dialects import arith, math, memref, tensor
from xdsl.dialects.builtin import (
    AnyFloat,
    ArrayAttr,
    FloatAttr,
    IntegerAttr,
    IntegerType,
    MemRefType,
    ModuleOp,
    TensorType,
    UnitAttr,
)
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.dialects.linalg import ops as linalg
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from ....dialects.errors import LoweringError
from ....dialects.graph import CatOp, PadOp, ReshapeOp, ScanOp, ViewOp
from ....dialects.graph_opaque import OpaqueOp
from ....dialects.poly import ArrayOp, IndexOp, ScopOp, StatementOp, YieldOp
from ...graph.linalg_rules.scalar_builder import ScalarBuilder
from ..affine_maps import compose, plain_dim, reshape_map
from ..combiners import COMBINERS
from ..sets import box_text


def _log_add_exp(s: ScalarBuilder, total: SSAValue, x: SSAValue) -> SSAValue:
    """log(exp(total) + exp(x)); equal numbers apart, as infinities have no difference."""
    larger = s.maximum(total, x)
    apart = s.negate(s.absolute(s.sub(total, x)))
    rest = s.insert(math.Log1pOp(s.exp(apart)))
    same = s.both(
        s.compare("eq", total, x), s.compare("eq", s.absolute(x), s.like(float("inf"), x))
    )
    return s.select(same, larger, s.add(larger, rest))


SCAN_FUNCTIONS = {
    "sum": ScalarBuilder.add,
    "prod": ScalarBuilder.mul,
    "max": ScalarBuilder.maximum,
    "min": ScalarBuilder.minimum,
    "logaddexp": _log_add_exp,
}


def memref_of(type: Attribute) -> MemRefType[Attribute]:
    """The row-major memref that stores a tensor."""
    assert isinstance(type, TensorType)
    return MemRefType(type.element_type, type.get_shape())


@dataclass
class Source:
    """Where the elements of a tensor value are: `array` at `map(index)`."""

    array: SSAValue
    map: AffineMap


@dataclass
class ScopBuilder:
    """Collects arrays and statements of one kernel."""

    block: Block
    sources: dict[SSAValue, Source] = field(default_factory=dict)
    fills: dict[SSAValue, SSAValue] = field(default_factory=dict)
    serial: int = 0

    def array(self, type: MemRefType[Attribute]) -> SSAValue:
        """A new temporary array."""
        op = ArrayOp(type, f"t{self.serial}")
        self.block.add_op(op)
        return op.result

    def statement(
        self,
        extents: Sequence[int],
        target: SSAValue,
        write: AffineMap,
        reads: Sequence[Source],
        body: Region,
        reduction: str | None = None,
    ) -> None:
        """Append a statement over a box."""
        self.block.add_op(
            StatementOp(
                f"S{self.serial}",
                box_text(extents),
                target,
                write,
                [r.array for r in reads],
                [r.map for r in reads],
                body,
                reduction,
            )
        )
        self.serial += 1

    def constant(
        self,
        target: SSAValue,
        extents: Sequence[int],
        value: FloatAttr | IntegerAttr,
        write: AffineMap | None = None,
    ) -> None:
        """target[write(i)] = value over the box; target[i] without `write`."""
        body = Block()
        constant = arith.ConstantOp(value)
        body.add_ops([constant, YieldOp(constant.result)])
        write = write or AffineMap.identity(len(extents))
        self.statement(extents, target, write, [], Region(body))

    def copy(
        self, target: SSAValue, extents: Sequence[int], write: AffineMap, source: Source
    ) -> None:
        """target[write(i)] = source[i] over the box."""
        assert isinstance(source.array.type, MemRefType)
        body = Block(arg_types=[source.array.type.element_type])
        body.add_op(YieldOp(body.args[0]))
        self.statement(extents, target, write, [source], Region(body))

    def read(self, value: SSAValue) -> Source:
        """Where `value` is stored, or LoweringError."""
        if value not in self.sources:
            raise LoweringError(f"extract-scop: no array holds {value}")
        return self.sources[value]


def _is_identity(map: AffineMap) -> bool:
    return all(plain_dim(e) == d for d, e in enumerate(map.results)) and map.num_dims == len(
        map.results
    )


def _shape(value: SSAValue) -> tuple[int, ...]:
    assert isinstance(value.type, TensorType)
    return value.type.get_shape()


def _extents(op: linalg.GenericOp) -> tuple[int, ...]:
    """Loop extents, read off operand dims that are indexed by a plain loop dim."""
    maps = [m.data for m in op.indexing_maps]
    extents: list[int | None] = [None] * maps[0].num_dims
    for value, map in zip((*op.inputs, *op.outputs), maps, strict=True):
        for size, expr in zip(_shape(value), map.results, strict=True):
            dim = plain_dim(expr)
            if dim is not None:
                extents[dim] = size
    if None in extents:
        raise LoweringError(
            f"extract-scop: loop {extents.index(None)} of a linalg.generic has no extent; "
            "add a tensor.empty operand that is indexed by it"
        )
    return tuple(cast(list[int], extents))


def _clone_body(
    builder: ScopBuilder, op: linalg.GenericOp, kept: Sequence[int], out: int
) -> Region:
    """The body of `op` over its block arguments `kept`, yielding result `out`."""
    old = op.body.block
    new = Block(arg_types=[old.args[k].type for k in kept])
    mapping: dict[SSAValue, SSAValue] = {
        old.args[k]: arg for k, arg in zip(kept, new.args, strict=True)
    }

    def value_of(value: SSAValue) -> SSAValue:
        owner = value.owner
        if value not in mapping and isinstance(owner, arith.ConstantOp):
            constant = owner.clone()
            new.insert_op_before(constant, first) if (first := new.first_op) else new.add_op(
                constant
            )
            mapping[value] = constant.result
        if value not in mapping:
            raise LoweringError(f"extract-scop: statement body uses {value} from outside")
        return mapping[value]

    for inner in old.ops:
        if isinstance(inner, linalg.YieldOp):
            new.add_op(YieldOp(value_of(inner.operands[out])))
        elif isinstance(inner, linalg.IndexOp):
            index = IndexOp(inner.dim.value.data)
            new.add_op(index)
            mapping[inner.result] = index.result
        elif isinstance(inner, tensor.ExtractOp):
            source = builder.read(inner.tensor)
            if not _is_identity(source.map):
                raise LoweringError(
                    "extract-scop: tensor.extract through a view; materialize it first"
                )
            load = memref.LoadOp.get(source.array, [value_of(i) for i in inner.indices])
            new.add_op(load)
            mapping[inner.result] = load.res
        else:
            clone = inner.clone_without_regions()
            for k, operand in enumerate(inner.operands):
                clone.operands[k] = value_of(operand)
            new.add_op(clone)
            for before, after in zip(inner.results, clone.results, strict=True):
                mapping[before] = after
                after.name_hint = before.name_hint
    return Region(new)


def _combiner(op: linalg.GenericOp, out: int) -> str | None:
    """The reduction kind where the yielded value is acc (+) rest; None otherwise."""
    block = op.body.block
    accumulator = block.args[len(op.inputs) + out]
    last = block.last_op
    assert last is not None
    value = last.operands[out].owner
    if not isinstance(value, Operation) or type(value) not in COMBINERS:
        return None
    if sum(operand is accumulator for operand in value.operands) != 1:
        return None
    return COMBINERS[type(value)] if len(list(accumulator.uses)) == 1 else None


def _extract_generic(builder: ScopBuilder, op: linalg.GenericOp) -> None:
    extents = _extents(op)
    maps = [m.data for m in op.indexing_maps]
    inputs = len(op.inputs)
    for out, result in enumerate(op.res):
        write = maps[inputs + out]
        target = builder.array(memref_of(result.type))
        reduced = len(write.used_dims()) < len(extents)
        init = op.outputs[out]
        block = op.body.block
        if block.args[inputs + out].uses and not reduced:
            raise LoweringError("extract-scop: a pointwise linalg.generic reads its output")
        if reduced:
            kind = _combiner(op, out)
            if kind is None:
                raise LoweringError("extract-scop: a reduction does not combine associatively")
            if init not in builder.fills:
                raise LoweringError("extract-scop: a reduction is not initialised by linalg.fill")
            owner = builder.fills[init].owner
            assert isinstance(owner, arith.ConstantOp)
            assert isinstance(owner.value, FloatAttr | IntegerAttr)
            builder.constant(target, _shape(result), owner.value)
        else:
            kind = None
        kept = [k for k in range(inputs) if block.args[k].uses]
        reads = []
        for k in kept:
            source = builder.read(op.inputs[k])
            reads.append(Source(source.array, compose(source.map, maps[k])))
        order = kept
        if reduced:
            reads.insert(0, Source(target, write))
            order = [inputs + out, *kept]
        body = _clone_body(builder, op, order, out)
        builder.statement(extents, target, write, reads, body, kind)
        builder.sources[result] = Source(target, AffineMap.identity(len(_shape(result))))


def _extract_cat(builder: ScopBuilder, op: CatOp) -> None:
    target = builder.array(memref_of(op.result.type))
    offset = 0
    for operand in op.operands_:
        shape = _shape(operand)
        dims: list[AffineExpr] = [AffineExpr.dimension(d) for d in range(len(shape))]
        if offset:
            dims[op.dim.data] = dims[op.dim.data] + offset
        builder.copy(target, shape, AffineMap(len(shape), 0, tuple(dims)), builder.read(operand))
        offset += shape[op.dim.data]
    builder.sources[op.result] = Source(target, AffineMap.identity(len(_shape(op.result))))


def _extract_pad(builder: ScopBuilder, op: PadOp) -> None:
    target = builder.array(memref_of(op.result.type))
    shape = _shape(op.source)
    element = cast(TensorType[Attribute], op.result.type).element_type
    value: FloatAttr | IntegerAttr
    if isinstance(element, AnyFloat):
        assert isinstance(op.value, FloatAttr)
        value = FloatAttr(op.value.value.data, element)
    else:
        assert isinstance(op.value, IntegerAttr)
        assert isinstance(element, IntegerType)
        value = IntegerAttr(op.value.value.data, element)
    write = tuple(
        AffineExpr.dimension(d) + low.data if low.data else AffineExpr.dimension(d)
        for d, low in enumerate(op.low)
    )
    builder.copy(target, shape, AffineMap(len(shape), 0, write), builder.read(op.source))
    _fill_border(builder, target, op, value)
    builder.sources[op.result] = Source(target, AffineMap.identity(len(shape)))


def _fill_border(
    builder: ScopBuilder, target: SSAValue, op: PadOp, value: FloatAttr | IntegerAttr
) -> None:
    """What `op` adds around its source, as boxes: both sides of a dim between those before it."""
    box = [(0, n) for n in _shape(op.result)]
    for p, (low, high) in enumerate(zip(op.low, op.high, strict=True)):
        n = _shape(op.source)[p]
        for first, count in ((0, low.data), (low.data + n, high.data)):
            if count:
                side = [*box[:p], (first, count), *box[p + 1 :]]
                dims = [AffineExpr.dimension(k) for k in range(len(side))]
                exprs = (d + at if at else d for d, (at, _) in zip(dims, side, strict=True))
                write = AffineMap(len(side), 0, tuple(exprs))
                builder.constant(target, [extent for _, extent in side], value, write)
        box[p] = (low.data, n)


def _extract_scan(builder: ScopBuilder, op: ScanOp) -> None:
    """out[0] = x[0]; out[i + 1] = out[i] (+) x[i + 1] along the scanned dim."""
    target = builder.array(memref_of(op.result.type))
    source = builder.read(op.source)
    shape, dim = list(_shape(op.result)), op.dim.data
    identity = AffineMap.identity(len(shape))
    builder.copy(target, [*shape[:dim], min(shape[dim], 1), *shape[dim + 1 :]], identity, source)
    shifted = list(identity.results)
    shifted[dim] = shifted[dim] + 1
    after = AffineMap(len(shape), 0, tuple(shifted))
    element = cast(MemRefType[Attribute], target.type).element_type
    body = Block(arg_types=[element, element])
    scalars = ScalarBuilder(Builder(InsertPoint.at_end(body)))
    scalars.finish(YieldOp(SCAN_FUNCTIONS[op.fn.data](scalars, *body.args)))
    builder.statement(
        [*shape[:dim], max(shape[dim] - 1, 0), *shape[dim + 1 :]],
        target,
        after,
        [Source(target, identity), Source(source.array, compose(source.map, after))],
        Region(body),
    )
    builder.sources[op.result] = Source(target, identity)


def _extract_op(builder: ScopBuilder, op: Operation) -> None:
    match op:
        case linalg.GenericOp():
            _extract_generic(builder, op)
        case linalg.FillOp():
            builder.fills[op.results[0]] = op.inputs[0]
        case ViewOp():
            source = builder.read(op.source)
            builder.sources[op.result] = Source(source.array, compose(source.map, op.map.data))
        case ReshapeOp():
            source = builder.read(op.source)
            map = reshape_map(_shape(op.source), _shape(op.result))
            builder.sources[op.result] = Source(source.array, compose(source.map, map))
        case CatOp():
            _extract_cat(builder, op)
        case PadOp():
            _extract_pad(builder, op)
        case ScanOp():
            _extract_scan(builder, op)
        case tensor.EmptyOp() | arith.ConstantOp() | ReturnOp():
            pass
        case _:
            raise LoweringError(f"extract-scop: no rule for {op.name}")


def _writers(block: Block, array: SSAValue) -> list[StatementOp]:
    return [s for s in block.ops if isinstance(s, StatementOp) and s.target is array]


def _store_results(
    builder: ScopBuilder, results: Sequence[SSAValue], outs: Sequence[SSAValue]
) -> None:
    """Make each result land in its output array: in place, or copied from an accumulator."""
    for result, out in zip(results, outs, strict=True):
        source = builder.read(result)
        writers = _writers(builder.block, source.array)
        in_place = (
            isinstance(source.array.owner, ArrayOp)
            and source.array.type == out.type
            and _is_identity(source.map)
            and all(s.reduction is None for s in writers)
        )
        if in_place:
            array = source.array.owner
            source.array.replace_all_uses_with(out)
            assert isinstance(array, ArrayOp)
            Rewriter.erase_op(array)
            for other in builder.sources.values():
                if other.array is array.result:
                    other.array = out
        else:
            extents = _shape(result)
            builder.copy(out, extents, AffineMap.identity(len(extents)), source)


def extract_scop(func: FuncOp) -> ScopOp:
    """The scop of a linalg kernel; raises LoweringError where an op has no rule."""
    terminator = func.body.block.last_op
    assert isinstance(terminator, ReturnOp)
    inputs = [memref_of(a.type) for a in func.body.block.args]
    outputs = [memref_of(v.type) for v in terminator.operands]
    block = Block(arg_types=[*inputs, *outputs])
    builder = ScopBuilder(block)
    roles = []
    attributes = func.arg_attrs.data if func.arg_attrs is not None else [None] * len(inputs)
    for k, arg in enumerate(func.body.block.args):
        block.args[k].name_hint = arg.name_hint or f"a{k}"
        rank = len(_shape(arg))
        builder.sources[arg] = Source(block.args[k], AffineMap.identity(rank))
        entry = attributes[k]
        is_weight = entry is not None and "tilecast.weight" in entry.data
        roles.append("weight" if is_weight else "in")
    for k in range(len(outputs)):
        block.args[len(inputs) + k].name_hint = "out" if len(outputs) == 1 else f"out{k}"
        roles.append("out")
    for op in func.body.block.ops:
        _extract_op(builder, op)
    _store_results(builder, terminator.operands, block.args[len(inputs) :])
    scop = ScopOp(func.sym_name.data, roles, Region(block))
    scop.properties["packs"] = ArrayAttr([UnitAttr()] * len(roles))
    return scop


@dataclass(frozen=True)
class ExtractScopPass(ModulePass):
    """Replace kernel functions (every function but `main`) by scops."""

    name = "extract-scop"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for func in [f for f in op.ops if isinstance(f, FuncOp)]:
            if func.sym_name.data == "main":
                continue
            if any(isinstance(inner, OpaqueOp) for inner in func.body.block.ops):
                continue  # lower-opaque makes its loops
            scop = extract_scop(func)
            op.body.block.insert_op_before(scop, func)
            Rewriter.erase_op(func)
