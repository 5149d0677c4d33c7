"""A scheduled scop as loops: isl makes the AST, its nodes become `scf` and vector ops.

before: poly.scop @k { statements, schedule }
after:  func.func @k(memrefs) { scf loops over loads, arithmetic and stores }
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import (
    AffineMapAttr,
    ArrayAttr,
    DictionaryAttr,
    ModuleOp,
    StringAttr,
    UnitAttr,
)
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, SSAValue
from xdsl.ir.affine import AffineMap
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from ....dialects.poly import PackAttr, ScopOp, extents_of, has_dynamic_shape
from ....dialects.schedule import bands_of, parse_steps
from ...context import CompileContext
from ...timing import span
from ..dependences.dependences import Dependences, dependences_of
from ..dependences.legality import check_places, check_schedule_is_legal
from ..dependences.vector_legality import check_vector_loops
from ..parameters import context_of
from ..scheduled import apply_schedule
from ..sets import domain_set, limited_operations
from ..storage import KERNEL, on_device, place_arrays
from .cpu_loops import check_loops_run_on_cpu
from .dynamic_arrays import SizeArithmetic, loops_type, size_atoms, size_types
from .emit_loops import LoopEmitter
from .make_ast import AstMaker
from .tree_to_isl import greatest_value


def lower_scop(
    scop: ScopOp, fma: bool = True, dependences: Dependences | None = None, gpu: bool = False
) -> FuncOp:
    """The loops of `scop` under its schedule; IllegalScheduleError for a broken dependence.

    `fma` says that the machine multiplies and adds in one instruction. `dependences` are those of
    the scop after the rewrites of its schedule, where they are known already.
    """
    with limited_operations():
        return _lower(scop, fma, dependences, gpu)


def _lower(scop: ScopOp, fma: bool, dependences: Dependences | None, gpu: bool) -> FuncOp:
    steps = parse_steps(scop.schedule.data if scop.schedule is not None else "")
    with span("apply schedule"):
        scop, tree = apply_schedule(scop, steps)
    ranks = scop.ranks
    with span("dependences"):
        if dependences is None:
            dependences = dependences_of(scop)
    with span("legality"):
        if not gpu:
            check_loops_run_on_cpu(tree)
        check_places(tree, scop)
        check_schedule_is_legal(tree, dependences, ranks)
        check_vector_loops(tree, scop)
    places = place_arrays(scop, tree, dependences)
    if gpu:
        places = {array: on_device(array, place) for array, place in places.items()}
    domains = {s.sym_name.data: domain_set(s.domain.data, s.sym_name.data) for s in scop.statements}
    with span("isl AST"):
        ast = AstMaker(scop, places).make(tree, domains, ranks)

    func, arrays = declare_kernel(scop, [a for a, p in places.items() if p.axis is None])
    block = func.body.block
    sizes = block.args[: len(block.args) - len(arrays)]
    bands = {b.axis: b for b in bands_of(tree)}
    emitter = LoopEmitter(block, bands, places, arrays, fma, lambda b: greatest_value(b, domains))
    emitter.env = size_atoms(scop, sizes)
    arithmetic = SizeArithmetic(block, sizes)
    for array, new in arrays.items():
        if has_dynamic_shape(array):
            emitter.strides[new] = arithmetic.strides(array)
    with span("statements"):
        emitter.allocate(KERNEL)
        emitter.emit(ast)
    block.add_op(ReturnOp())
    return func


def declare_kernel(
    scop: ScopOp, scratch: Sequence[SSAValue]
) -> tuple[FuncOp, dict[SSAValue, SSAValue]]:
    """The function that `scop` becomes, without its body, and its arguments by array. `scratch` are
    the temporaries that its callers provide."""
    args = list(scop.body.block.args)
    sizes = size_types(scop)
    types = [*sizes, *(loops_type(a) for a in (*args, *scratch))]
    func = FuncOp(scop.sym_name.data, (types, []))
    block = func.body.block
    arrays: dict[SSAValue, SSAValue] = {}
    for name, value in zip(scop.parameters, block.args, strict=False):
        value.name_hint = name
    for array, new in zip((*args, *scratch), block.args[len(sizes) :], strict=True):
        new.name_hint = array.name_hint
        arrays[array] = new
    func.attributes["tilecast.roles"] = ArrayAttr(
        [
            *(StringAttr("size") for _ in sizes),
            *scop.roles,
            *(StringAttr("scratch") for _ in scratch),
        ]
    )
    if sizes:
        shapes = [AffineMapAttr(AffineMap(0, len(sizes), extents_of(a))) for a in (*args, *scratch)]
        func.attributes["tilecast.extents"] = ArrayAttr([*(UnitAttr() for _ in sizes), *shapes])
        func.attributes["tilecast.context"] = StringAttr(str(context_of(scop)))
    if scop.sizes is not None:
        func.attributes["tilecast.sizes"] = scop.sizes
    packs: Sequence[Attribute] = scop.packs.data if scop.packs is not None else ()
    if any(isinstance(p, PackAttr) for p in packs):
        func.properties["arg_attrs"] = ArrayAttr(
            [
                DictionaryAttr({"tilecast.pack": p} if isinstance(p, PackAttr) else {})
                for p in (*(UnitAttr() for _ in sizes), *packs, *(UnitAttr() for _ in scratch))
            ]
        )
    return func, arrays


@dataclass(frozen=True)
class LowerScopPass(ModulePass):
    """Replace scops by loop functions."""

    name = "lower-scop"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        fma = not isinstance(ctx, CompileContext) or ctx.machine.has_fma
        gpu = isinstance(ctx, CompileContext) and ctx.machine.is_gpu
        for scop in [s for s in op.ops if isinstance(s, ScopOp)]:
            func = lower_scop(scop, fma, gpu=gpu)
            func.attributes |= scop.attributes
            op.body.block.insert_op_before(func, scop)
            Rewriter.erase_op(scop)
