"""isl's scheduler (Pluto's algorithm, Bondhugula et al. 2008; Verdoolaege & Janssens 2017) as a
loop tree.

before: a scop in original order
after:  a tree whose outermost loops carry as few dependences as isl could manage
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from ....dialects.errors import IllegalScheduleError
from ....dialects.poly import ScopOp
from ....dialects.schedule import Band, Leaf, Node, chain
from ..dependences.dependences import Dependences
from ..sets import UnionMap, dim_aff, domain_set, isl
from . import isl_worker
from .scheduling_dependences import scheduling_dependences

Fusion = Literal["max", "none"]
SECONDS = 10  # isl solves an integer program per loop; for many statements that takes minutes


def isl_tree(
    scop: ScopOp, dependences: Dependences, fusion: Fusion, outer_parallel: bool = False
) -> Node:
    """The tree of isl's schedule; IllegalScheduleError where isl finds none in reasonable time.

    `fusion` "max" lets statements share loops wherever that is legal, "none" gives every component
    of the dependence graph loops of its own. `outer_parallel` prefers outermost loops that carry no
    dependence over permutable ones.
    """
    chosen = scheduling_dependences(scop, dependences)
    schedule = computed_schedule(
        {
            "options": {
                "serialize_sccs": int(fusion == "none"),
                "outer_coincidence": int(outer_parallel),
                # Extents are constants here, and would find their way into the coefficients.
                "max_coefficient": 4,
                "max_constant_term": 8,
            },
            "domains": sorted(
                str(domain_set(s.domain.data, s.sym_name.data)) for s in scop.statements
            ),
            "validity": _pieces(chosen.validity),
            "coincidence": _pieces(chosen.validity.union(dependences.reduction)),
            "proximity": _pieces(chosen.proximity.union(dependences.reduction)),
        }
    )
    ranks = scop.ranks
    return tree_of(schedule.get_root().child(0), ranks)


def _pieces(pairs: UnionMap) -> list[str]:
    """The polyhedra of a union as texts, in an order that does not depend on isl's hash tables.

    They are not coalesced: the neighbours of a stencil are easy one by one, as equations, and hard
    as one polyhedron of many facets (heat-3d takes minutes then).
    """
    found: list[str] = []
    pairs.foreach_map(lambda one: one.foreach_basic_map(lambda piece: found.append(str(piece))))
    return sorted(found)


def computed_schedule(problem: Mapping[str, Any]) -> Any:
    """isl's schedule; IllegalScheduleError where it has none, or takes longer than SECONDS."""
    command = [sys.executable, str(Path(isl_worker.__file__))]
    try:
        done = subprocess.run(
            command, input=json.dumps(problem), capture_output=True, text=True, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        raise IllegalScheduleError(
            f"isl's scheduler: no schedule in {SECONDS} seconds; keep the original order"
        ) from None
    if done.returncode != 0:
        reason = done.stderr.strip().rpartition("\n")[2]
        raise IllegalScheduleError(f"isl's scheduler: {reason}; keep the original order")
    return isl.Schedule(done.stdout)


def tree_of(node: Any, ranks: dict[str, int]) -> Node:
    """The loop tree below a node of an isl schedule tree, one band per member.

    Loops are called c0, c1, ...; members that are constant are left out.
    """
    return _Conversion(ranks).convert(node)


class _Conversion:
    """Walks an isl schedule tree; `serial` numbers the loops."""

    def __init__(self, ranks: dict[str, int]) -> None:
        self.ranks = ranks
        self.serial = 0

    def convert(self, node: Any) -> Node:
        kinds = isl.schedule_node_type
        match node.get_type():
            case kinds.leaf:
                return chain([Leaf(name) for name in _statements(node)])
            case kinds.sequence | kinds.set:
                return chain([self.convert(node.child(k)) for k in range(node.n_children())])
            case kinds.band:
                return self._bands(node)
            case _:  # filters, contexts and marks say nothing that the statements below do not
                return self.convert(node.child(0))

    def _bands(self, node: Any) -> Node:
        statements = _statements(node)
        partial = node.band_get_partial_schedule()
        loops = []
        for k in range(node.band_n_member()):
            exprs = _expressions(partial.get_union_pw_aff(k), statements)
            if all(self._is_constant(s, e) for s, e in exprs):
                continue
            loops.append((f"c{self.serial}", exprs))
            self.serial += 1
        body = self.convert(node.child(0))
        for axis, exprs in reversed(loops):
            body = Band(axis, exprs, body)
        return body

    def _is_constant(self, statement: str, expr: str) -> bool:
        return bool(dim_aff(statement, self.ranks[statement], expr).is_cst())


def _statements(node: Any) -> list[str]:
    names: list[str] = []
    node.get_domain().foreach_set(lambda one: names.append(one.get_tuple_name()))
    return sorted(names)


def _expressions(time: Any, statements: list[str]) -> tuple[tuple[str, str], ...]:
    """(statement, expression over i0, i1, ...) of one band member."""
    found: dict[str, str] = {}

    def add(piece: Any) -> None:
        found[piece.get_tuple_id(isl.dim_type.in_).get_name()] = _text(piece)

    time.get_pw_aff_list().foreach(add)
    return tuple((s, found[s]) for s in statements)


def _text(value: Any) -> str:
    """A PwAff of one piece as text over the dims i0, i1, ..."""
    affs: list[Any] = []
    value.foreach_piece(lambda _, aff: affs.append(aff))
    (aff,) = affs
    for d in range(aff.dim(isl.dim_type.in_)):
        aff = aff.set_dim_name(isl.dim_type.in_, d, f"i{d}")
    text = str(aff)
    return (
        text[text.index("-> [") + 4 : text.rindex("]")].strip().removeprefix("(").removesuffix(")")
    )
