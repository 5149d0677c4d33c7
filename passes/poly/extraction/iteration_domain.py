"""The iteration domain of affine loops and branches, as isl sets over the loop variables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.dialects import affine
from xdsl.ir.affine import AffineExpr
from xdsl.ir.affine.affine_set import AffineConstraintKind

from ....dialects.affine import IfOp
from ....dialects.errors import LoweringError
from ..sets import IslSet, declared, dims, domain_text, expr_text, isl
from .index_values import IndexValues

RELATION = {
    AffineConstraintKind.ge: ">=",
    AffineConstraintKind.le: "<=",
    AffineConstraintKind.eq: "=",
}


@dataclass(frozen=True)
class IterationDomain:
    """The iterations that reach a point of the program; dim k is the k-th loop around it."""

    rank: int
    set: IslSet

    @staticmethod
    def whole(context: IslSet) -> IterationDomain:
        """The one instance of a statement outside all loops, for parameters in `context`."""
        return IterationDomain(0, isl.Set("{ [] }").intersect_params(context))

    def text(self) -> str:
        """The set with dims called i0, i1, ..."""
        return domain_text(self.set)

    def is_empty(self) -> bool:
        """Whether no iteration gets here."""
        return bool(self.set.is_empty())

    def inside(self, loop: affine.ForOp, indices: IndexValues) -> IterationDomain:
        """The domain of the body of `loop`, and the meaning of its variable in `indices`."""
        rank, variable = self.rank + 1, f"i{self.rank}"
        lower = indices.apply(loop.lowerBoundMap.data, loop.lowerBoundOperands)
        upper = indices.apply(loop.upperBoundMap.data, loop.upperBoundOperands)
        step = loop.step.value.data
        if step < 1 or (step > 1 and len(lower) > 1):
            raise LoweringError(
                "extract-affine: expected a loop with step 1, or a positive step from one lower "
                f"bound, found step {step} and {len(lower)} lower bounds"
            )
        value = AffineExpr.dimension(self.rank)
        if step > 1:
            value = value * step + lower[0]
            constraints = [f"{variable} >= 0"]
        else:
            constraints = [f"{variable} >= {expr_text(e)}" for e in lower]
        constraints += [f"{expr_text(value)} < {expr_text(e)}" for e in upper]
        indices.known[loop.body.block.args[0]] = value
        extended = self.set.add_dims(isl.dim_type.set, 1)
        return IterationDomain(rank, extended.intersect(_set(rank, constraints)))

    def branches(
        self, branch: IfOp, indices: IndexValues
    ) -> tuple[IterationDomain, IterationDomain]:
        """The domains of the two regions of `branch`."""
        condition = branch.condition.data
        dim_values = [indices.of(v) for v in branch.args[: condition.num_dims]]
        symbol_values = [indices.of(v) for v in branch.args[condition.num_dims :]]
        constraints = []
        for constraint in condition.constraints:
            sides = [
                expr_text(side.replace_dims_and_symbols(dim_values, symbol_values))
                for side in (constraint.lhs, constraint.rhs)
            ]
            constraints.append(f"{sides[0]} {RELATION[constraint.kind]} {sides[1]}")
        holds = _set(self.rank, constraints)
        return (
            IterationDomain(self.rank, self.set.intersect(holds)),
            IterationDomain(self.rank, self.set.subtract(holds)),
        )


def _set(rank: int, constraints: Sequence[str]) -> IslSet:
    condition = f" : {' and '.join(constraints)}" if constraints else ""
    return isl.Set(f"{declared(condition)}{{ [{', '.join(dims(rank))}]{condition} }}")
