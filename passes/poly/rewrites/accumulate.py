"""A reduction in a temporary: loaded when a block of its iterations begins, stored when it ends.

before: for i: for k: for j: C[i, j] += f(i, k, j)
after:  for i: for k: for j:
          if k mod F == 0:      t[k / F, i, j] = C[i, j]     (S_load)
                                t[k / F, i, j] += f(i, k, j)
          if k mod F == F - 1:  C[i, j] = t[k / F, i, j]     (S_store)

Load and store have the dims of the statement, so that one expression puts all three into a loop:
`floor(i1 / F)` is the block of each. The temporary is small where the schedule makes it so.
"""

from __future__ import annotations

from xdsl.dialects.builtin import AffineMapAttr, ArrayAttr, MemRefType
from xdsl.ir import Block, Region, SSAValue
from xdsl.ir.affine import AffineMap

from ....dialects.poly import ArrayOp, ScopOp, StatementOp, YieldOp
from ....dialects.schedule import Accumulate
from ..positions import insert_beside
from .find import check_name_is_free, find_statement
from .reduction_blocks import untouched_blocks


def accumulate(scop: ScopOp, step: Accumulate) -> None:
    """Apply `step`; the original order of additions stays what it was.

    Where one block holds all iterations, the temporary has no index for blocks, and load and store
    are at the least and the greatest iteration of the reduction dims.
    """
    statement = find_statement(scop, step.statement)
    name = step.statement
    for new in (f"{name}_load", f"{name}_store"):
        check_name_is_free(scop, new, step)
    blocks = untouched_blocks(scop, statement, step.dim, step.factor, step)
    array, write, key = statement.target, statement.write.data, blocks.key
    assert isinstance(array.type, MemRefType)
    temporary = ArrayOp(
        MemRefType(array.type.element_type, blocks.shape), (array.name_hint or "t") + "_tile"
    )
    scop.body.block.insert_op_before(temporary, scop.statements[0])
    tile = temporary.result
    load = copy_statement(f"{name}_load", blocks.begin_domain(), tile, key, array, write)
    store = copy_statement(f"{name}_store", blocks.end_domain(), array, write, tile, key)
    set_accumulator(statement, tile, key)
    insert_beside(scop, load, statement, statement.rank)
    insert_beside(scop, store, statement, statement.rank, after=True)


def copy_statement(
    name: str, domain: str, target: SSAValue, write: AffineMap, source: SSAValue, read: AffineMap
) -> StatementOp:
    """target[write(i)] = source[read(i)]."""
    body = Block(arg_types=[source.type.element_type])  # type: ignore[attr-defined]
    body.add_op(YieldOp(body.args[0]))
    return StatementOp(name, domain, target, write, [source], [read], Region(body))


def set_accumulator(statement: StatementOp, array: SSAValue, access: AffineMap) -> None:
    """Let a reduction update array[access(i)]."""
    statement.operands[0] = array
    statement.operands[1] = array
    statement.properties["write"] = AffineMapAttr(access)
    statement.properties["reads"] = ArrayAttr([AffineMapAttr(access), *statement.reads.data[1:]])
