"""The registry of conversion rules: one function per `graph` op, found by op class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from xdsl.ir import SSAValue

from ....dialects.graph import GraphOp
from .kernel_builder import KernelBuilder

ConversionRule = Callable[[Any, KernelBuilder], SSAValue]
RULES: dict[type[GraphOp], ConversionRule] = {}

OpT = TypeVar("OpT", bound=GraphOp)
RuleT = Callable[[OpT, KernelBuilder], SSAValue]


def converts(op_class: type[OpT]) -> Callable[[RuleT[OpT]], RuleT[OpT]]:
    """Register the decorated function as the rule of `op_class`.

    A rule builds linalg ops before the graph op and returns the value that replaces its result,
    in the type of the result or the wider one it is computed in.
    """

    def register(rule: RuleT[OpT]) -> RuleT[OpT]:
        if op_class in RULES:
            raise ValueError(f"{op_class.name} has two conversion rules")
        RULES[op_class] = rule
        return rule

    return register
