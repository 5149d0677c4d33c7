"""A loop tree as an isl schedule, and the time prefixes of its statements."""

from __future__ import annotations

from typing import Any

from ....dialects.schedule import Band, Chain, Leaf, Node, statements_of
from ..sets import IslMap, IslSet, declared, dim_aff, dims, isl, values_of

AXIS_MARK = "axis "


def schedule_of(tree: Node, domains: dict[str, IslSet], ranks: dict[str, int]) -> Any:
    """The isl.Schedule of `tree`; every band stands under a mark `axis NAME`."""
    match tree:
        case Leaf(statement):
            return isl.Schedule.from_domain(isl.UnionSet(domains[statement]))
        case Chain(children):
            schedule = schedule_of(children[0], domains, ranks)
            for child in children[1:]:
                schedule = schedule.sequence(schedule_of(child, domains, ranks))
            return schedule
        case Band():
            schedule = schedule_of(tree.body, domains, ranks)
            time = isl.UnionPwAff("{ }")
            for statement, expr in tree.exprs:
                aff = dim_aff(statement, ranks[statement], expr)
                time = time.union_add(isl.UnionPwAff.from_pw_aff(aff))
            schedule = schedule.insert_partial_schedule(isl.MultiUnionPwAff.from_union_pw_aff(time))
            below_domain = schedule.get_root().child(0)
            return below_domain.insert_mark(isl.Id(AXIS_MARK + tree.axis)).get_schedule()


def prefix_map(statement: str, rank: int, path: list[Band], *inner: str) -> IslMap:
    """statement -> values of the loops `path`, outermost first, and of expressions `inner`."""
    values = ", ".join([*(dict(band.exprs)[statement] for band in path), *inner])
    head = declared(values)
    return isl.Map(f"{head}{{ {statement}[{', '.join(dims(rank))}] -> [{values}] }}")


def common_path(tree: Node, statements: set[str]) -> list[Band]:
    """The bands around all of `statements`, outermost first."""
    match tree:
        case Leaf():
            return []
        case Band():
            return [tree, *common_path(tree.body, statements)]
        case Chain(children):
            for child in children:
                if statements <= set(statements_of(child)):
                    return common_path(child, statements)
            return []


def greatest_value(band: Band, domains: dict[str, IslSet]) -> int | None:
    """The greatest value that `band` has for any instance of its statements; 0 for none, None where
    that depends on sizes."""
    greatest = 0
    for name, expr in band.exprs:
        domain = domains[name]
        if domain.is_empty():
            continue
        value = dim_aff(name, domain.dim(isl.dim_type.set), expr)
        top = values_of(value.intersect_domain(domain)).dim_max(0)
        if not top.is_cst():
            return None
        greatest = max(greatest, top.max_val().to_python())
    return greatest
