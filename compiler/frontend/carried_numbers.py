"""Python numbers that a while_loop carries are tensors of rank 0 inside: arithmetic on them.

torch traces them as symbols (SymInt) whose values only the running program knows. `i + 1` and
`i < n` become pointwise ops; a shape that depends on such a number has no size.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch.fx import Node
from xdsl.dialects.builtin import i1
from xdsl.ir import SSAValue

from .builder import Builder
from .rules import UnsupportedUse

FUNCTIONS: dict[Callable[..., Any], str] = {
    operator.add: "add",
    operator.sub: "sub",
    operator.mul: "mul",
    operator.floordiv: "floor_div",
    operator.mod: "remainder",
    operator.neg: "neg",
    operator.lt: "lt",
    operator.le: "le",
    operator.gt: "gt",
    operator.ge: "ge",
    operator.eq: "eq",
    operator.ne: "ne",
    operator.and_: "and",
    operator.or_: "or",
    torch.sym_max: "maximum",
    torch.sym_min: "minimum",
    torch.sym_not: "not",
}
ON_TRUTH = {"and", "or", "not"}


def is_number(fake: Any) -> bool:
    """Whether a node gives a Python number as torch traces it."""
    return isinstance(fake, torch.SymInt | torch.SymBool | torch.SymFloat | bool | int | float)


def computes_with_carried(node: Node, translate: Callable[[Any], Any]) -> bool:
    """Whether `node` gives a number that follows from numbers of the running program."""
    if not is_number(node.meta.get("val")) or str(node.target).startswith("aten."):
        return False
    return any(isinstance(translate(source), SSAValue) for source in node.all_input_nodes)


def import_number(b: Builder, node: Node, translate: Callable[[Any], Any]) -> SSAValue:
    """The value of `node`; UnsupportedUse where it does something else with numbers."""
    fn = FUNCTIONS.get(node.target)  # type: ignore[arg-type]
    if fn is None:
        raise UnsupportedUse("it computes with a Python number that a loop carries; use a tensor")
    operands = [translate(argument) for argument in node.args]
    element = i1 if fn in ON_TRUTH else b.common_element(*operands)
    return b.pointwise(fn, *(b.operand(value, element) for value in operands))
