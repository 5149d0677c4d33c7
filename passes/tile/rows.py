"""Rows of a softmax or a norm among the statements of a scop: reductions along rows and maps.

In: statements S0: m[r] = max(m[r], x[r, k]); S1: e[r, j] = exp(x[r, j] - m[r]); ...
Out: a `Rows`, whose steps run one after the other on tiles of a few whole rows.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import inf, prod

from xdsl.dialects import arith
from xdsl.dialects.builtin import FloatAttr
from xdsl.ir import Region, SSAValue

from ...dialects.poly import StatementOp
from ...dialects.poly import YieldOp as StatementYieldOp
from ...dialects.tile.types import bits_of
from ..poly.access_patterns import carried_dims, parallel_dims
from ..poly.affine_maps import plain_dim
from ..poly.sets import box_extents
from .access import Access, memref_element
from .scalar_body import NARROW, scalar_body

NEUTRAL = {"add": 0.0, "max": -inf, "min": inf}
COMBINE = (arith.AddfOp, arith.MaximumfOp, arith.MaxnumfOp, arith.MinimumfOp)
LEAST_COLUMNS = 8
MOST_PER_LANE = 64  # numbers of a row in a lane's registers
MOST_TILES = 160  # registers of tiles of whole rows that are alive at once, about


@dataclass(frozen=True)
class RowStep:
    """`target` = `body` of the sources, combined along the row by `reduction` if there is one.

    Accesses are over the loops of rows, slowest first, and the one along them.
    """

    target: Access
    sources: tuple[Access, ...]
    body: Region
    reduction: str | None


@dataclass(frozen=True)
class Rows:
    """Steps on rows: `extents` of the loops, the last one along the row; what is stored."""

    extents: tuple[int, ...]
    steps: tuple[RowStep, ...]
    stored: frozenset[SSAValue]

    @property
    def rows(self) -> tuple[int, ...]:
        """The loops over rows."""
        return tuple(range(len(self.extents) - 1))

    @property
    def columns(self) -> tuple[int, ...]:
        """The loop along rows."""
        return (len(self.extents) - 1,)

    @property
    def count(self) -> int:
        """The number of rows."""
        return prod(self.extents[:-1])

    @property
    def written(self) -> dict[SSAValue, Access]:
        """What the steps compute."""
        return {step.target.array: step.target for step in self.steps}

    @property
    def arrays(self) -> list[SSAValue]:
        """What is read from memory, then what is stored."""
        read = [s.array for step in self.steps for s in step.sources]
        outside = [a for a in read if a not in self.written]
        return list(dict.fromkeys([*outside, *(a for a in self.written if a in self.stored)]))

    @property
    def vector(self) -> int:
        """Neighbours in a row that a lane has: 16 bytes of the narrowest array, where all allow."""
        accesses = [s for step in self.steps for s in (*step.sources, step.target)]
        along = [a for a in accesses if a.varies(self.columns) and a.array in self.arrays]
        width = min((16 * 8 // bits_of(a.element) for a in along), default=1)
        columns = self.extents[-1]
        while width > 1 and (columns % width or 32 * width > 2 * columns):
            width //= 2
        return width


def find_rows(statements: Sequence[StatementOp], kept: Collection[SSAValue]) -> Rows | None:
    """The statements as steps on rows; None where one is something else.

    `kept` are arrays that others read, too.
    """
    reductions = [s for s in statements if s.reduction is not None]
    if not reductions:
        return None
    loops = _loops(reductions[0])
    if loops is None:
        return None
    domain = box_extents(reductions[0].domain.data)
    assert domain is not None
    extents = tuple(domain[d] for d in loops)
    if not extents[-1] >= LEAST_COLUMNS or min(extents) == 0:
        return None
    fills: dict[SSAValue, float] = {}
    steps: list[RowStep] = []
    computed: dict[SSAValue, Access] = {}
    for statement in statements:
        constant = _filled(statement)
        if constant is not None:
            fills[statement.target] = constant
            continue
        step = _step(statement, extents)
        if step is None or step.target.array in computed:
            return None
        if (
            step.reduction is not None
            and fills.pop(step.target.array, None) != NEUTRAL[step.reduction]
        ):
            return None
        for source in step.sources:
            if source.array in computed and computed[source.array] != source:
                return None  # reads what other rows have
        computed[step.target.array] = step.target
        steps.append(step)
    read_before = {s.array for k, step in enumerate(steps) for s in step.sources} & set(computed)
    if fills or any(_first_read(steps, array) for array in read_before):
        return None
    return _that_fit(Rows(extents, tuple(steps), frozenset(a for a in computed if a in kept)))


def _first_read(steps: Sequence[RowStep], array: SSAValue) -> bool:
    """Whether `array` is read before it is computed."""
    for step in steps:
        if any(source.array is array for source in step.sources):
            return True
        if step.target.array is array:
            return False
    return False


def _that_fit(rows: Rows) -> Rows | None:
    """`rows`, if the registers of a warp hold one, and lanes read and write neighbours."""
    accesses = [a for step in rows.steps for a in (*step.sources, step.target)]
    if any(a.array in rows.arrays and a.strides[-1] not in (0, 1) for a in accesses):
        return None
    each = -(-rows.extents[-1] // (32 * rows.vector)) * rows.vector
    wide = sum(step.target.varies(rows.columns) for step in rows.steps)
    fits = each <= MOST_PER_LANE and each * min(wide + 2, 4) <= MOST_TILES
    return rows if fits else None


def _loops(statement: StatementOp) -> list[int] | None:
    """Loops over rows in the order of what is written, then the one along them, if there is one."""
    written = [plain_dim(e) for e in statement.write.data.results]
    order = [d for d in written if d is not None]
    if len(order) != len(set(order)) or carried_dims(statement):
        return None
    rest = [d for d in range(statement.rank) if d not in order]
    if statement.reduction is None:
        return order if not rest else None
    return [*order, *rest] if len(rest) == 1 and order == parallel_order(statement) else None


def parallel_order(statement: StatementOp) -> list[int]:
    """Parallel dims in the order of what is written."""
    parallel = set(parallel_dims(statement))
    written = [plain_dim(e) for e in statement.write.data.results]
    return [d for d in written if d in parallel]


def _filled(statement: StatementOp) -> float | None:
    """The constant that a statement without reads stores."""
    end = statement.body.block.last_op
    assert isinstance(end, StatementYieldOp)
    constant = end.operands[0].owner
    if statement.sources or not isinstance(constant, arith.ConstantOp):
        return None
    return constant.value.value.data if isinstance(constant.value, FloatAttr) else None


def _step(statement: StatementOp, extents: tuple[int, ...]) -> RowStep | None:
    """A statement over the loops of `extents`, or all but the last of them."""
    domain, loops = box_extents(statement.domain.data), _loops(statement)
    if domain is None or loops is None:
        return None
    own = tuple(domain[d] for d in loops)
    if own != extents and (own != extents[:-1] or statement.reduction is not None):
        return None
    maps = [statement.write.data, *statement.read_maps]
    arrays = [statement.target, *statement.sources]
    found = [Access.of(array, map) for array, map in zip(arrays, maps, strict=True)]
    accesses = [a.permuted(loops) for a in found if a is not None]
    if len(accesses) < len(found):
        return None
    if own != extents:
        accesses = [Access(a.array, a.start, (*a.strides, 0)) for a in accesses]
    block, end = statement.body.block, statement.body.block.last_op
    assert isinstance(end, StatementYieldOp)
    value, first = end.operands[0], 0
    if statement.reduction is not None:
        combine = value.owner
        narrow = memref_element(statement.target) in NARROW
        if not isinstance(combine, COMBINE) or narrow:
            return None
        if block.args[0] not in combine.operands or len(list(block.args[0].uses)) != 1:
            return None
        value, first = next(v for v in combine.operands if v is not block.args[0]), 1
    arguments = [
        (array.name_hint or "source", [argument])
        for array, argument in zip(arrays[1 + first :], block.args[first:], strict=True)
    ]
    body = scalar_body(statement, arguments, value)
    if body is None or not arguments:
        return None
    function = None if statement.reduction is None else statement.reduction.data
    return RowStep(accesses[0], tuple(accesses[1 + first :]), body, function)
