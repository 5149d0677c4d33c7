"""isl's AST as loops-level ops: `scf` loops and guards, vector instances, unrolled tiles."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from xdsl.dialects import memref, scf
from xdsl.dialects.builtin import IndexType, MemRefType
from xdsl.ir import Block, Region, SSAValue

from ...dialects.errors import IllegalScheduleError
from ...dialects.schedule import Band
from ...dialects.vector import ConstantMaskOp
from .emit_statement import StatementEmitter
from .index_expr import OP, Atom, IndexBuilder, Linear
from .make_ast import Instance
from .sets import IslSet, dim_aff, isl
from .storage import Place
from .tree_to_isl import AXIS_MARK


@dataclass
class LoopEmitter:
    """Walks the AST and appends loops-level ops to `block`."""

    block: Block
    bands: dict[str, Band]
    places: dict[SSAValue, Place]
    instances: dict[str, Instance]
    arrays: dict[SSAValue, SSAValue]
    fma: bool
    env: dict[str, Linear] = field(default_factory=dict)
    band: Band | None = None
    lanes: int = 0
    mask: SSAValue | None = None
    domains: dict[str, IslSet] = field(default_factory=dict)
    open_axes: frozenset[str] = frozenset()
    known: dict[Hashable, SSAValue] = field(default_factory=dict)

    def _index(self) -> IndexBuilder:
        return IndexBuilder(self.block, self.env, self.lanes, self.known)

    def _inside(self, block: Block, emit: Callable[[], None]) -> None:
        """Run `emit` with `block` as the insertion point; locals made inside stay inside."""
        outer = self.block
        self.block = block
        self._scoped(emit)
        self.block = outer

    def _scoped(self, emit: Callable[[], None]) -> None:
        """Run `emit`; locals made inside are forgotten after."""
        arrays, axes = self.arrays, self.open_axes
        self.arrays = dict(arrays)
        emit()
        self.arrays, self.open_axes = arrays, axes

    def allocate(self, axis: str) -> None:
        """Append the local arrays that live in the body of `axis`, once per scope."""
        if axis in self.open_axes:
            return
        self.open_axes |= {axis}
        for array, place in self.places.items():
            if place.axis != axis:
                continue
            assert isinstance(array.type, MemRefType)
            type = MemRefType(array.type.element_type, place.shape)
            op = memref.AllocaOp.get(array.type.element_type, 64, place.shape)
            assert op.memref.type == type
            op.memref.name_hint = array.name_hint
            self.block.add_op(op)
            self.arrays[array] = op.memref

    def emit(self, node: Any) -> None:
        """Append the code of `node`."""
        match node.get_type():
            case isl.ast_node_type.mark:
                name = node.mark_get_id().get_name()
                assert name.startswith(AXIS_MARK)
                self.band = self.bands[name[len(AXIS_MARK) :]]
                self._emit_band(node.mark_get_node())
            case isl.ast_node_type.block:
                children = node.block_get_children()
                for k in range(children.n_ast_node()):
                    self.emit(children.get_at(k))
            case isl.ast_node_type.if_:
                self._emit_if(node, self.emit)
            case isl.ast_node_type.for_:
                self._emit_for(node)
            case isl.ast_node_type.user:
                self._emit_user(node)

    def _emit_band(self, node: Any) -> None:
        """What stands below a band's mark: its loops, or its body where it has one iteration.

        Every other loop below has a mark of its own, so a bare loop belongs to this band.
        """
        band = self.band
        assert band is not None
        match node.get_type():
            case isl.ast_node_type.for_:
                self._emit_for(node)
            case isl.ast_node_type.if_ if _has_bare_loop(node):
                self._emit_if(node, self._emit_band)
            case isl.ast_node_type.block if _has_bare_loop(node):
                children = node.block_get_children()
                for k in range(children.n_ast_node()):
                    self.band = band
                    self._emit_band(children.get_at(k))
            case _:  # one iteration: isl may cut its body in pieces, which share the locals
                self.allocate(band.axis)
                self.band = None
                self.emit(node)

    def _emit_if(self, node: Any, emit: Callable[[Any], None]) -> None:
        condition = self._index().condition(node.if_get_cond())
        has_else = node.if_has_else_node()
        band = self.band

        def branch(child: Any) -> None:
            self.band = band
            emit(child)

        if isinstance(condition, bool):
            if condition:
                branch(node.if_get_then_node())
            elif has_else:
                branch(node.if_get_else_node())
            return
        assert condition is not None
        self._branch(
            condition,
            lambda: branch(node.if_get_then_node()),
            (lambda: branch(node.if_get_else_node())) if has_else else None,
        )

    def _branch(
        self, condition: SSAValue, then: Callable[[], None], other: Callable[[], None] | None
    ) -> None:
        blocks = [Block(), Block()] if other is not None else [Block()]
        op = scf.IfOp(condition, [], Region(blocks[0]), Region(blocks[1]) if other else None)
        self.block.add_op(op)
        for block, emit in zip(blocks, (then, other), strict=False):
            assert emit is not None
            self._inside(block, emit)
            block.add_op(scf.YieldOp())

    def _bounds(self, node: Any, index: IndexBuilder) -> tuple[Linear, Linear, int]:
        """(first, last, step) of a for node."""
        condition = node.for_get_cond()
        first = index.evaluate(node.for_get_init())
        last = index.evaluate(condition.get_op_arg(1))
        if condition.get_op_type() == OP.lt:
            last = last + Linear(-1)
        return first, last, node.for_get_inc().get_val().to_python()

    def _body(self, node: Any, band: Band | None) -> None:
        def emit() -> None:
            if band is not None:
                self.open_axes -= {band.axis}
                self.allocate(band.axis)
            self.band = None
            self.emit(node.for_get_body())

        self._scoped(emit)

    def _emit_for(self, node: Any) -> None:
        band, self.band = self.band, None
        name = node.for_get_iterator().get_id().get_name()
        if band is not None and band.kind == "vector":
            self._emit_vector(node, name, band)
            return
        first, last, step = self._bounds(node, self._index())
        constant = first.is_constant and last.is_constant
        if constant and last.constant < first.constant:
            return
        count = (last.constant - first.constant) // step + 1 if constant else 0
        if count == 1 or (constant and band is not None and band.kind == "unroll"):
            for k in range(count):
                self._at(name, Linear(first.constant + k * step), node, band)
            return
        if band is not None and band.kind == "parallel":
            self._emit_parallel(node, name, band, first, last, step)
            return
        if first.is_constant and not constant and step == 1 and band is not None:
            final = min(last.high, self._greatest(band))
            if self._peels(node, name, first.constant, final, step):
                self._emit_loop_and_last(node, name, band, first, last, final)
                return
        peeled = constant and self._peels(node, name, first.constant, last.constant, step)
        end = last + Linear(-step) if peeled else last
        self._emit_loop(node, name, band, first, end, step)
        if peeled:
            final = first.constant + (count - 1) * step
            self._at(name, Linear(final), node, band)

    def _greatest(self, band: Band) -> int:
        """The greatest value of the loop variable of `band`, in any iteration around it."""
        values = [
            dim_aff(name, domain.dim(isl.dim_type.set), expr).intersect_domain(domain).max_val()
            for name, expr in band.exprs
            if not (domain := self.domains[name]).is_empty()
        ]
        return max((v.to_python() for v in values), default=0)

    def _emit_loop_and_last(
        self, node: Any, name: str, band: Band, first: Linear, last: Linear, final: int
    ) -> None:
        """The iterations before `final`, and that one where it is reached."""
        index = self._index()
        end = index.extremum([last, Linear(final - 1)], largest=False)
        is_reached = index.less_than(Linear(final - 1), last)
        self._emit_loop(node, name, band, first, end, 1)
        self._branch(is_reached, lambda: self._at(name, Linear(final), node, band), None)

    def _at(self, name: str, value: Linear, node: Any, band: Band | None) -> None:
        self.env[name] = value
        self._body(node, band)
        del self.env[name]

    def _loop_operands(
        self, first: Linear, last: Linear, step: int
    ) -> tuple[SSAValue, SSAValue, SSAValue]:
        index = self._index()
        lower = index.materialize(first)
        return lower, index.materialize(last + Linear(1)), index.constant(step)

    def _emit_loop(
        self, node: Any, name: str, band: Band | None, first: Linear, last: Linear, step: int
    ) -> None:
        if first.is_constant and last.is_constant and last.constant - first.constant < step:
            self._at(name, first, node, band)
            return
        bounds = self._loop_operands(first, last, step)
        block = Block(arg_types=[IndexType()])
        block.args[0].name_hint = _loop_name(band, name)
        self.block.add_op(scf.ForOp(*bounds, [], Region(block)))
        atom = Atom(name, first.low, last.high, block.args[0])
        self._inside(block, lambda: self._at(name, Linear(0, ((atom, 1),)), node, band))
        block.add_op(scf.YieldOp())

    def _emit_parallel(
        self, node: Any, name: str, band: Band, first: Linear, last: Linear, step: int
    ) -> None:
        bounds = self._loop_operands(first, last, step)
        block = Block(arg_types=[IndexType()])
        block.args[0].name_hint = _loop_name(band, name)
        self.block.add_op(scf.ParallelOp([bounds[0]], [bounds[1]], [bounds[2]], Region(block)))
        iv = block.args[0]
        constant = first.is_constant and last.is_constant
        peeled = constant and self._peels(node, name, first.constant, last.constant, step)

        def at(low: int, high: int) -> None:
            atom = Atom(name, low, high, iv)
            self._at(name, Linear(0, ((atom, 1),)), node, band)

        def body() -> None:
            if not peeled:
                at(first.low, last.high)
                return
            final = first.constant + (last.constant - first.constant) // step * step
            index = self._index()
            here = Linear(0, ((Atom(name, first.constant, last.constant, iv), 1),))
            is_full = index.less_than(here, Linear(final))
            self._branch(
                is_full,
                lambda: at(first.constant, final - step),
                lambda: self._at(name, Linear(final), node, band),
            )

        self._inside(block, body)
        block.add_op(scf.ReduceOp())

    def _emit_vector(self, node: Any, name: str, band: Band) -> None:
        index = self._index()
        first, last, step = self._bounds(node, index)
        if first != Linear() or step != 1:
            raise IllegalScheduleError(
                f"vector loop {band.axis!r} does not start at 0 in every iteration of the loops "
                "around it; vectorize another loop"
            )
        self.lanes = band.lanes
        if not last.is_constant:
            width = IndexBuilder(self.block, self.env).materialize(last + Linear(1))
            self.mask = index.create_mask(width, band.lanes)
        elif last.constant + 1 < band.lanes:
            op = ConstantMaskOp(last.constant + 1, band.lanes)
            self.block.add_op(op)
            self.mask = op.result
        atom = Atom(name, 0, last.high, None, lane=True)
        self._at(name, Linear(0, ((atom, 1),)), node, band)
        self.lanes, self.mask = 0, None

    def _peels(self, node: Any, name: str, first: int, last: int, step: int) -> bool:
        """Whether bounds and guards inside are decided for all iterations but the last."""
        if last - first < step:
            return False
        final = first + (last - first) // step * step
        whole = self._unresolved(node, name, first, final)
        return whole > 0 and self._unresolved(node, name, first, final - step) < whole

    def _unresolved(self, node: Any, name: str, low: int, high: int) -> int:
        index = IndexBuilder(None, dict(self.env))
        index.env[name] = Linear(0, ((Atom(name, low, high), 1),))
        self._survey(node.for_get_body(), index)
        return index.unresolved

    def _survey(self, node: Any, index: IndexBuilder) -> None:
        match node.get_type():
            case isl.ast_node_type.mark:
                self._survey(node.mark_get_node(), index)
            case isl.ast_node_type.block:
                children = node.block_get_children()
                for k in range(children.n_ast_node()):
                    self._survey(children.get_at(k), index)
            case isl.ast_node_type.if_:
                index.condition(node.if_get_cond())
                self._survey(node.if_get_then_node(), index)
                if node.if_has_else_node():
                    self._survey(node.if_get_else_node(), index)
            case isl.ast_node_type.for_:
                first, last, _ = self._bounds(node, index)
                name = node.for_get_iterator().get_id().get_name()
                index.env[name] = Linear(0, ((Atom(name, first.low, last.high), 1),))
                self._survey(node.for_get_body(), index)
            case _:
                pass

    def _emit_user(self, node: Any) -> None:
        instance = self.instances[node.get_annotation().get_name()]
        index = self._index()
        accesses = [[index.evaluate(e) for e in access] for access in instance.accesses]
        dims = [index.evaluate(e) for e in instance.dims]
        s = instance.statement
        arrays = [self.arrays[a] for a in (s.target, *s.sources)]
        StatementEmitter(index, self.mask, self.fma).emit(s, arrays, accesses, dims, self.arrays)


def _has_bare_loop(node: Any) -> bool:
    """Whether a loop stands below `node` without a mark of its own."""
    match node.get_type():
        case isl.ast_node_type.for_:
            return True
        case isl.ast_node_type.block:
            children = node.block_get_children()
            return any(_has_bare_loop(children.get_at(k)) for k in range(children.n_ast_node()))
        case isl.ast_node_type.if_:
            if _has_bare_loop(node.if_get_then_node()):
                return True
            return node.if_has_else_node() and _has_bare_loop(node.if_get_else_node())
        case _:
            return False


def _loop_name(band: Band | None, iterator: str) -> str:
    return band.axis.replace(".", "_") if band is not None else iterator
