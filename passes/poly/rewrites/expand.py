"""Array expansion: values that only share memory get elements of their own.

before: for i: { t = f(i); y[i] = g(t) };  for j: { t = h(j); z[j] = t }
after:  for i: { t[i] = f(i); y[i] = g(t[i]) };  for j: { t_1[j] = h(j); z[j] = t_1[j] }

Anti and output dependences between values go; `storage` takes back what a schedule does not need.
"""

from __future__ import annotations

from xdsl.dialects.builtin import AffineMapAttr, ArrayAttr, MemRefType
from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap
from xdsl.rewriter import Rewriter

from ....dialects.errors import IllegalScheduleError
from ....dialects.poly import ArrayOp, ScopOp
from ....dialects.schedule import Expand
from ..affine_maps import plain_dim
from ..array_shapes import shape_of
from ..dependences.dependences import array_names
from ..sets import domain_set
from ..simplification.collapse_dims import is_indirect
from .find import refuse
from .webs import Access, Web, webs_of


def find_temporary(scop: ScopOp, name: str) -> SSAValue:
    """The temporary called `name`; IllegalScheduleError where there is none."""
    names = array_names(scop)
    for array, known in names.items():
        if known != name:
            continue
        if not isinstance(array.owner, ArrayOp):
            raise IllegalScheduleError(f"{name} is an argument of the kernel: its memory is given")
        if is_indirect(array):
            raise IllegalScheduleError(f"{name} is read at computed indices")
        return array
    local = ", ".join(n for a, n in names.items() if isinstance(a.owner, ArrayOp)) or "none"
    raise IllegalScheduleError(f"no temporary is called {name!r}; temporaries are {local}")


def new_dims(scop: ScopOp, web: Web, depth: int) -> list[tuple[int, int, int]]:
    """(dim, least value, greatest value) of the loops that the elements of `web` are repeated for.

    Not for loops of one iteration, nor those whose variable is an index already.
    """
    found = []
    for d in range(min(depth, web.common_loops(scop))):
        positions = [
            {p for p, e in enumerate(a.map.results) if plain_dim(e) == d} for a in web.accesses
        ]
        if set.intersection(*positions):
            continue
        domains = [domain_set(s.domain.data, "S") for s in web.statements]
        low = min(domain.dim_min_val(d).to_python() for domain in domains)
        high = max(domain.dim_max_val(d).to_python() for domain in domains)
        if low < high:
            found.append((d, low, high))
    return found


def _move(web: Web, array: SSAValue, added: list[tuple[int, int, int]]) -> None:
    """Let the accesses of `web` go to `array`, whose first indices are the dims `added`."""
    indices = tuple(
        AffineExpr.dimension(d) + -low if low < 0 else AffineExpr.dimension(d)
        for d, low, _ in added
    )
    for access in web.accesses:
        statement = access.statement
        map = AffineMap(statement.rank, 0, (*indices, *access.map.results))
        set_access(access, array, map)


def set_access(access: Access, array: SSAValue, map: AffineMap) -> None:
    """Let `access` be array[map(i)]."""
    statement = access.statement
    if access.read is None:
        statement.operands[0] = array
        statement.properties["write"] = AffineMapAttr(map)
        return
    statement.operands[1 + access.read] = array
    reads = list(statement.reads.data)
    reads[access.read] = AffineMapAttr(map)
    statement.properties["reads"] = ArrayAttr(reads)


def expand(scop: ScopOp, step: Expand) -> None:
    """Apply `step`: split the array by webs, and repeat each web's array for its common loops, of
    which it takes at most `depth`."""
    array = find_temporary(scop, step.array)
    webs = webs_of(scop, array)
    added = [new_dims(scop, web, step.depth) for web in webs]
    if len(webs) < 2 and not any(added):
        raise refuse(step, "its values share no memory that they could have apart")
    assert isinstance(array.type, MemRefType)
    for serial, (web, dims) in enumerate(zip(webs, added, strict=True)):
        extents = [high + 1 - min(low, 0) for _, low, high in dims]
        name = step.array if serial == 0 else f"{step.array}_{serial}"
        new = ArrayOp(MemRefType(array.type.element_type, [*extents, *shape_of(array)]), name)
        scop.body.block.insert_op_before(new, scop.statements[0])
        _move(web, new.result, dims)
    assert isinstance(array.owner, ArrayOp)
    Rewriter.erase_op(array.owner)


def expand_temporaries(scop: ScopOp) -> list[Expand]:
    """Expand every temporary as far as it goes; the steps that did."""
    steps = []
    names = array_names(scop)
    for array in [a for a in names if isinstance(a.owner, ArrayOp) and not is_indirect(a)]:
        depth = max((1, *(s.rank for s in scop.statements)))  # a step takes no 0
        step = Expand(names[array], depth)
        try:
            expand(scop, step)
        except IllegalScheduleError:
            continue
        steps.append(step)
    return steps
