"""Whether a refused schedule is wrong indeed, told from single statement instances without isl."""

from __future__ import annotations

import re
from fractions import Fraction
from math import ceil, floor
from typing import Any

from tilecast.dialects.errors import BrokenDependenceError
from tilecast.dialects.poly import ScopOp, StatementOp
from tilecast.dialects.reference.poly import instances_of
from tilecast.dialects.schedule import Band, Chain, Leaf, Node

Instance = tuple[str, tuple[int, ...]]
Place = list[tuple[str, int]]  # (loop, its value), (position in a chain)


def value_of(text: str, at: tuple[int, ...]) -> int:
    """The quasi-affine expression `text` at i0, i1, ... = `at`."""
    names: dict[str, Any] = {f"i{d}": Fraction(v) for d, v in enumerate(at)}
    names |= {"floor": floor, "ceil": ceil, "min": min, "max": max}
    value = eval(re.sub(r"\bmod\b", "%", text), {"__builtins__": {}}, names)
    assert value == int(value), f"{text} at {at} is {value}"
    return int(value)


def place_of(tree: Node, instance: Instance) -> Place:
    """The loop values and chain positions of `instance`, outermost first."""
    name, at = instance
    place: Place = []
    node = tree
    while not isinstance(node, Leaf):
        match node:
            case Band():
                place.append((node.axis, value_of(dict(node.exprs)[name], at)))
                node = node.body
            case Chain(children):
                (k,) = (k for k, child in enumerate(children) if _holds(child, name))
                place.append(("", k))
                node = children[k]
    return place


def _holds(node: Node, name: str) -> bool:
    match node:
        case Leaf(statement):
            return statement == name
        case Band():
            return name in dict(node.exprs)
        case Chain(children):
            return any(_holds(child, name) for child in children)


def original_place(scop: ScopOp, instance: Instance) -> tuple[int, ...]:
    """(p0, i0, p1, i1, ..., pn) of `instance`."""
    name, at = instance
    names = [s.sym_name.data for s in scop.statements]
    first, *others = scop.positions[names.index(name)]
    return (first, *(x for pair in zip(at, others, strict=True) for x in pair))


def accesses(statement: StatementOp, at: tuple[int, ...]) -> list[tuple[object, bool, bool]]:
    """((array, element), is a write, is of the accumulator) of an instance."""
    is_reduction = statement.reduction is not None
    element = tuple(statement.write.data.eval(at, []))
    found: list[tuple[object, bool, bool]] = [((statement.target, element), True, is_reduction)]
    for k, (array, read) in enumerate(zip(statement.sources, statement.read_maps, strict=True)):
        found.append(((array, tuple(read.eval(at, []))), False, is_reduction and k == 0))
    return found


def conflict(scop: ScopOp, source: Instance, sink: Instance) -> str | None:
    """ "ordered" for two accesses to one element, one of them a write; "updates" where both update
    an accumulator of one statement; None for none."""
    by_name = {s.sym_name.data: s for s in scop.statements}
    kinds = set()
    for element, writes, updates in accesses(by_name[source[0]], source[1]):
        for other, also_writes, also_updates in accesses(by_name[sink[0]], sink[1]):
            if element == other and (writes or also_writes):
                relaxed = updates and also_updates and source[0] == sink[0]
                kinds.add("updates" if relaxed else "ordered")
    return "ordered" if "ordered" in kinds else "updates" if kinds else None


_KNOWN: dict[str, frozenset[tuple[int, ...]]] = {}


def _instances(statement: StatementOp) -> frozenset[tuple[int, ...]]:
    """The points of the domain, listed once."""
    text = statement.domain.data
    if text not in _KNOWN:
        _KNOWN[text] = frozenset(instances_of(statement))
    return _KNOWN[text]


def check_refusal(scop: ScopOp, tree: Node, error: BrokenDependenceError) -> None:
    """AssertionError unless the two instances that `error` names exist, depend on one another, and
    are run in the wrong order or at the same time by `tree`."""
    source, sink = error.source, error.sink
    by_name = {s.sym_name.data: s for s in scop.statements}
    for name, at in (source, sink):
        assert at in _instances(by_name[name]), f"{name}{at} is no instance"
    kind = conflict(scop, source, sink)
    assert kind is not None, f"{source} and {sink} access nothing in common"
    assert original_place(scop, source) < original_place(scop, sink), "not in original order"
    first, second = place_of(tree, source), place_of(tree, sink)
    common = 0
    while common < min(len(first), len(second)) and first[common] == second[common]:
        common += 1
    assert common < min(len(first), len(second)), f"{source} and {sink} have one place"
    (axis, at_source), (_, at_sink) = first[common], second[common]
    assert (axis or None) == error.axis, f"they differ in {axis!r}, not in {error.axis!r}"
    band = next((n for n in _bands(tree) if n.axis == axis), None)
    is_concurrent = band is not None and band.kind not in ("for", "unroll")
    if kind == "updates":
        assert is_concurrent
        assert band is not None
        assert band.kind != "vector", "lanes may update one element"
    else:
        assert at_sink < at_source or is_concurrent, f"{source} runs before {sink}"


def _bands(node: Node) -> list[Band]:
    match node:
        case Leaf():
            return []
        case Band():
            return [node, *_bands(node.body)]
        case Chain(children):
            return [band for child in children for band in _bands(child)]
