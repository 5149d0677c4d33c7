"""What a program needs beyond the import rules: decompositions to run, operators to refuse."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch._ops import HigherOrderOperator
from torch.export import ExportedProgram
from torch.fx import Node

from ...dialects.errors import UnsupportedOperatorError
from . import complex_rules
from .advice import advice_for
from .complex_rules import touches_complex
from .control_flow import CONTROL_FLOW
from .decompositions import calls, decomposition_of, operator_name
from .location import module_path, source_line
from .rules import RULES

ORIGIN = "tilecast_origin"  # meta key: the operator a node was decomposed from
INTERPOLATION = re.compile(r"aten\.upsample_(bi|tri)?(linear|cubic)[123]d")
ROUNDS = 4  # decompositions may give operators that need decomposing themselves


@dataclass
class Gap:
    """One operator without a usable rule: how often, where first, and why."""

    operator: str
    count: int = 0
    place: str = ""
    advice: str = ""
    reasons: list[str] = field(default_factory=list)


@dataclass
class Gaps:
    """Everything a program uses that cannot be imported."""

    by_operator: dict[str, Gap] = field(default_factory=dict)

    def add(self, node: Node, reason: str = "") -> None:
        """Note that `node` cannot be imported."""
        name = operator_name(node)
        if not reason and name not in RULES:
            # the user wrote the operator that was decomposed, not what it was decomposed into
            name = node.meta.get(ORIGIN, name)
        gap = self.by_operator.setdefault(name, Gap(name))
        gap.count += 1
        gap.place = gap.place or f"{module_path(node) or 'the model'} @ {source_line(node)}"
        if not reason:
            gap.advice = gap.advice or advice_for(node, name, RULES)
        elif reason not in gap.reasons:
            gap.reasons.append(reason)

    def check(self) -> None:
        """Raise one UnsupportedOperatorError that lists all gaps, if there are any."""
        if not self.by_operator:
            return
        lines = [f"{len(self.by_operator)} operators of the model are not supported:"]
        for gap in self.by_operator.values():
            lines.append(f"  {gap.operator} ({gap.count}x), first at {gap.place}")
            lines += [f"    {reason}" for reason in gap.reasons or [gap.advice]]
        raise UnsupportedOperatorError("\n".join(lines))


def has_rule(node: Node) -> bool:
    """Whether the import knows the operator of `node`; interpolation of fixed sizes only."""
    if touches_complex(node):
        return complex_rules.has_rule(node.target)
    name = operator_name(node)
    if INTERPOLATION.match(name) and not _has_fixed_sizes(node):
        return False
    return name in RULES or (isinstance(node.target, HigherOrderOperator) and name in CONTROL_FLOW)


def _has_fixed_sizes(node: Node) -> bool:
    """Whether the sizes of the first argument and of the result are numbers."""
    values = [arg.meta.get("val") for arg in (node, node.args[0]) if isinstance(arg, Node)]
    shapes = [value.shape for value in values if isinstance(value, torch.Tensor)]
    return all(isinstance(n, int) for shape in shapes for n in shape)


def decompose_missing(program: ExportedProgram) -> ExportedProgram:
    """Functionalize, and decompose the operators that have no rule and for which torch has one."""
    check_bytes_are_exact(program)
    before: set[Any] | None = None
    for _ in range(ROUNDS):
        missing = {node.target for node in calls(program) if not has_rule(node)}
        in_place = {node.target for node in calls(program) if _is_in_place(node)}
        if missing | in_place in (set(), before):
            break
        before = missing | in_place
        table = {op: found for op in missing if (found := decomposition_of(op)) is not None}
        # even an empty table helps: functionalization itself takes apart operators that alias
        origins = {node.name: node.meta.get(ORIGIN, operator_name(node)) for node in calls(program)}
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = _decomposed(program, table)
        for node in calls(program):
            source = node.meta.get("from_node")
            if source and source[-1].name in origins:
                node.meta[ORIGIN] = origins[source[-1].name]
    return program


def check_bytes_are_exact(program: ExportedProgram) -> None:
    """UnsupportedOperatorError where torch's decomposition rounds bytes otherwise than eager."""
    for node in calls(program):
        value = node.meta.get("val")
        is_bytes = isinstance(value, torch.Tensor) and value.dtype == torch.uint8
        if is_bytes and INTERPOLATION.match(operator_name(node)):
            raise UnsupportedOperatorError(
                f"{operator_name(node)} of uint8 at {source_line(node)}: torch rounds it in a way "
                "of its own; interpolate x.float() and convert the result"
            )


def _decomposed(program: ExportedProgram, table: dict[Any, Callable[..., Any]]) -> ExportedProgram:
    try:
        decomposed: ExportedProgram = program.run_decompositions(table)
        return decomposed
    except Exception as error:  # torch's own rules fail in ways of their own
        names = ", ".join(sorted(str(op) for op in table)) or "what works in place"
        text = (str(error).splitlines() or [type(error).__name__])[0]
        raise UnsupportedOperatorError(f"torch cannot take apart {names}: {text}") from error


def _is_in_place(node: Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return schema is not None and bool(schema.is_mutable)
