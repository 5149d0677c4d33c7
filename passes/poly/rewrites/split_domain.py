"""Index-set splitting: a statement becomes two, in the same loops, over disjoint domains.

before: S over D
after:  inside over D where the condition holds, S over the rest
"""

from __future__ import annotations

from xdsl.dialects.builtin import StringAttr

from ....dialects.poly import ScopOp
from ....dialects.schedule import SplitDomain
from ..positions import insert_beside
from ..sets import declared, dims, domain_text, isl
from .find import check_name_is_free, find_statement, refuse


def split_domain(scop: ScopOp, step: SplitDomain) -> None:
    """Apply `step`: both statements keep accesses, body and order. An instance belongs to one of
    them, so that which of the two stands first in the innermost loop does not matter."""
    statement = find_statement(scop, step.statement)
    check_name_is_free(scop, step.inside, step)
    domain = isl.Set(statement.domain.data)
    try:
        head = f"{declared(step.condition)}{{ [{', '.join(dims(statement.rank))}]"
        holds = isl.Set(f"{head} : {step.condition} }}")
    except isl.Error as error:
        names = ", ".join(dims(statement.rank)) or "no dims"
        raise refuse(step, f"expected a condition over {names} in isl's syntax") from error
    inside, outside = domain.intersect(holds), domain.subtract(holds)
    if inside.is_empty() or outside.is_empty():
        which = "no" if inside.is_empty() else "every"
        raise refuse(
            step, f"the condition holds for {which} instance, so there is nothing to split"
        )
    new = statement.clone()
    new.properties["sym_name"] = StringAttr(step.inside)
    new.properties["domain"] = StringAttr(domain_text(inside))
    new.properties.pop("position", None)
    statement.properties["domain"] = StringAttr(domain_text(outside))
    insert_beside(scop, new, statement, statement.rank)
