"""Give contractions, rows and attention to tile programs; the rest of a kernel stays statements.

before: poly.scop @k { zero, sum of products, epilogue, softmax, ..., other statements }
after:  func.func @k(memrefs) { tile.launch { tile.program } ; tile.part @k_1_part(..) ; ... }
        poly.scop @k_1_part { other statements }

Temporaries that launches and parts hand to each other become scratch arguments of the kernel.
`inline-parts` puts the loops of the parts back, once they are loops.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ArrayAttr, MemRefType, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Region, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from ...costmodel.gpu_roofline import GPUS, multiprocessors_of
from ...dialects.poly import ArrayOp, ScopOp, StatementOp
from ...dialects.tile.atoms import F32, I32
from ...dialects.tile.launch import LaunchOp, PartOp
from ..context import CompileContext
from ..poly.rules_gpu.choice import ATTRIBUTE, choice_of
from ..poly.rules_gpu.stages import stage_reductions
from ..poly.sets import box_extents
from ..poly.simplification.collapse_dims import collapse_dims
from ..poly.simplification.inline_statements import inline_statements
from ..poly.task_key import task_key
from .attention import Attention, find_attention
from .attention_program import attention_plan, attention_program
from .contraction import Contraction, find_contraction
from .contraction_plan import Plan, choose_plan, has_plan
from .contraction_program import contraction_program
from .row_program import WARPS, row_program
from .rows import Rows, find_rows

PART_OF = "tilecast.part_of"
USUAL = GPUS["sm_80"].multiprocessors  # where the pass runs alone, without a target
Tiled = Contraction | Rows | Attention
Piece = Tiled | list[StatementOp]


def pieces_of(scop: ScopOp) -> list[Piece]:
    """The statements in order: contractions that tiles fit, chains on rows, and runs of others.

    Long reductions among the others are rewritten to stages, of which the last may be rows.
    """
    pieces = _pieces(scop, is_staged=False)
    others = [statement for piece in pieces if isinstance(piece, list) for statement in piece]
    return _pieces(scop, is_staged=True) if stage_reductions(scop, others) else pieces


def _pieces(scop: ScopOp, is_staged: bool) -> list[Piece]:
    statements = scop.statements
    taken: dict[StatementOp, Contraction] = {}
    for statement in statements:
        found = find_contraction(scop, statement) if statement not in taken else None
        if found is not None and has_plan(found):
            taken |= dict.fromkeys(found.statements, found)
    pieces: list[Piece] = []
    for statement in statements:
        contraction = taken.get(statement)
        if contraction is not None:
            # It runs where its sum stood: zeros before it are its own.
            if statement is contraction.statements[1]:
                pieces.append(contraction)
        elif pieces and isinstance(pieces[-1], list):
            pieces[-1].append(statement)
        else:
            pieces.append([statement])
    tiled: list[Piece] = []
    for piece in pieces:
        first = 0
        if isinstance(piece, list) and is_staged:
            ends = range(len(piece))
            first = next((k for k in ends if not is_run(_as_rows(scop, pieces, piece, k))), 0)
            tiled += [piece[:first]] if first else []
        tiled.append(_as_rows(scop, pieces, piece, first) if isinstance(piece, list) else piece)
    return _with_attention(scop, tiled)


def _with_attention(scop: ScopOp, pieces: list[Piece]) -> list[Piece]:
    """Scores, softmax and weighted sums as one piece, where nothing else reads what is between."""
    for k in range(len(pieces) - 2):
        match pieces[k : k + 3]:
            case [Contraction() as scores, Rows() as rows, Contraction() as sums]:
                found = find_attention(scop, scores, rows, sums)
                others = {a for p in (*pieces[:k], *pieces[k + 3 :]) for a in arrays_in(p)}
                if found is not None and not rows.stored & others:
                    return [*pieces[:k], found, *_with_attention(scop, pieces[k + 3 :])]
    return pieces


def is_run(piece: Piece) -> bool:
    """Whether a piece is statements that no tile program computes."""
    return isinstance(piece, list)


def _as_rows(scop: ScopOp, pieces: Sequence[Piece], run: list[StatementOp], first: int) -> Piece:
    """A run of statements, from number `first` on, as rows, where that is one chain on rows."""
    others = [run[:first], *(piece for piece in pieces if piece is not run)]
    elsewhere = {a for piece in others for a in arrays_in(piece)}
    chain = run[first:]
    return find_rows(chain, elsewhere | set(scop.body.block.args)) or chain


def arrays_in(piece: Piece) -> list[SSAValue]:
    """The arrays that a piece accesses, each once."""
    if not isinstance(piece, list):
        return piece.arrays
    return list(dict.fromkeys(a for s in piece for a in (*s.sources, s.target)))


class KernelCutter:
    """Writes the kernel function and the scops of its parts."""

    def __init__(self, scop: ScopOp, pieces: Sequence[Piece], multiprocessors: int) -> None:
        self.scop, self.pieces, self.choice = scop, pieces, choice_of(scop)
        self.multiprocessors = multiprocessors
        self.name = scop.sym_name.data
        arguments = list(scop.body.block.args)
        used = [arrays_in(piece) for piece in pieces]
        scratch = [
            op.result
            for op in scop.body.block.ops
            if isinstance(op, ArrayOp) and self._is_shared(op.result, used)
        ]
        self.func = FuncOp(self.name, ([a.type for a in (*arguments, *scratch)], []))
        block = self.func.body.block
        self.roles = [*(r.data for r in scop.roles), *(["scratch"] * len(scratch))]
        self.places: dict[SSAValue, SSAValue] = {}
        for old, new in zip((*arguments, *scratch), block.args, strict=True):
            new.name_hint = old.name_hint
            self.places[old] = new

    def _is_shared(self, array: SSAValue, used: list[list[SSAValue]]) -> bool:
        pieces = [p for p, arrays in zip(self.pieces, used, strict=True) if array in arrays]
        return len(pieces) > 1 or any(not isinstance(p, list) for p in pieces)

    def cut(self) -> list[ScopOp | FuncOp]:
        """The kernel and its parts."""
        made: list[ScopOp | FuncOp] = [self.func]
        block = self.func.body.block
        for k, piece in enumerate(self.pieces):
            name = f"{self.name}_{k}" if len(self.pieces) > 1 else self.name
            if not isinstance(piece, list):
                block.add_op(self._launch(name, piece))
                continue
            arrays = [a for a in arrays_in(piece) if a in self.places]
            made.append(self._part(f"{name}_part", piece, arrays))
            block.add_op(PartOp(f"{name}_part", [self.places[a] for a in arrays]))
        block.add_op(ReturnOp())
        self.func.update_function_type()  # type: ignore[no-untyped-call]
        self.func.attributes["tilecast.roles"] = ArrayAttr([StringAttr(r) for r in self.roles])
        return made

    def _launch(self, name: str, piece: Tiled) -> LaunchOp:
        arrays = [self.places[a] for a in piece.arrays]
        if isinstance(piece, Rows):
            return LaunchOp(arrays, row_program(name, piece, self.choice.warps or WARPS))
        if isinstance(piece, Attention):
            plan = attention_plan(piece, self.choice)
            return LaunchOp(arrays, attention_program(name, piece, plan))
        chosen = self._plan(piece)
        arrays += self._shared_by_blocks(piece, chosen)
        return LaunchOp(arrays, contraction_program(name, piece, chosen))

    def _plan(self, contraction: Contraction) -> Plan:
        given = self.choice.tile, self.choice.stages, self.choice.blocks
        plan = choose_plan(contraction, self.multiprocessors, *given)
        plan = plan or choose_plan(contraction, self.multiprocessors)
        assert plan is not None
        return plan

    def _shared_by_blocks(self, piece: Contraction, plan: Plan) -> list[SSAValue]:
        """Scratch arrays for the sums that blocks hand to each other, if they do."""
        stripes = plan.stripes(piece)
        if stripes is None:
            return []
        found: list[SSAValue] = []
        for name, role, type in (
            ("workspace", "scratch", MemRefType(F32, piece.shape[:3])),
            ("semaphores", "semaphores", MemRefType(I32, (stripes.tiles,))),
        ):
            found.append(self.func.body.block.insert_arg(type, len(self.func.body.block.args)))
            found[-1].name_hint = name
            self.roles.append(role)
        return found

    def _part(self, name: str, statements: list[StatementOp], arrays: list[SSAValue]) -> ScopOp:
        block = Block(arg_types=[a.type for a in arrays])
        mapping: dict[SSAValue, SSAValue] = {}
        for old, new in zip(arrays, block.args, strict=True):
            new.name_hint = old.name_hint
            mapping[old] = new
        for op in self.scop.body.block.ops:
            if op in statements or (
                isinstance(op, ArrayOp)
                and op.result not in self.places
                and any(op.result in (*s.sources, s.target) for s in statements)
            ):
                block.add_op(op.clone(mapping))
        roles: list[str] = []
        for array in arrays:
            read = any(array in s.sources for s in statements)
            written = any(array is s.target for s in statements)
            roles.append("inout" if read and written else "out" if written else "in")
        part = ScopOp(name, roles, Region([block]))
        part.attributes[PART_OF] = StringAttr(self.name)
        part.attributes[ATTRIBUTE] = StringAttr(str(self.choice))
        return part


def tile_programs(scop: ScopOp, multiprocessors: int) -> list[ScopOp | FuncOp] | None:
    """The kernel and its parts; None where nothing of it is for tiles."""
    is_box = all(box_extents(s.domain.data) is not None for s in scop.statements)
    if scop.parameters or not is_box or not scop.is_sequence_of_nests:
        return None
    collapse_dims(scop)
    inline_statements(scop)
    pieces = pieces_of(scop)
    if all(isinstance(piece, list) for piece in pieces):
        return None
    return KernelCutter(scop, pieces, multiprocessors).cut()


@dataclass(frozen=True)
class TileProgramsPass(ModulePass):
    """Replace what tile programs compute by launches of them."""

    name = "tile-programs"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        assert isinstance(ctx, CompileContext)
        scops = [s for s in op.ops if isinstance(s, ScopOp)]
        multiprocessors = multiprocessors_of(ctx.machine) if ctx.machine.is_gpu else USUAL
        for scop in scops:
            recorded = ctx.recorded_schedule and ctx.recorded_schedule(task_key(scop))
            if recorded:
                scop.attributes[ATTRIBUTE] = StringAttr(recorded)
            made = tile_programs(scop, multiprocessors)
            if made is not None:
                op.body.block.insert_ops_before(made, scop)
                Rewriter.erase_op(scop)
