"""The registry of lowering rules: one function per opaque op, found by op class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ....dialects.graph.opaque import OpaqueOp
from .kernel import OpaqueKernel
from .loop_builder import LoopBuilder

LoweringRule = Callable[[Any, OpaqueKernel, LoopBuilder], None]
RULES: dict[type[OpaqueOp], LoweringRule] = {}

OpT = TypeVar("OpT", bound=OpaqueOp)
RuleT = Callable[[OpT, OpaqueKernel, LoopBuilder], None]


def lowers(op_class: type[OpT]) -> Callable[[RuleT[OpT]], RuleT[OpT]]:
    """Register the decorated function as the rule of `op_class`.

    A rule writes loops that fill `kernel.out` and reads operands through `kernel.read`.
    """

    def register(rule: RuleT[OpT]) -> RuleT[OpT]:
        if op_class in RULES:
            raise ValueError(f"{op_class.name} has two lowering rules")
        RULES[op_class] = rule
        return rule

    return register
