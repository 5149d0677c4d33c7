"""The emission rule of every op class, registered beside its definition.

Two kinds of rule: `@emits` writes statements; `@elementwise` gives the expression of one lane, with
an optional `@simd` expression for whole registers. Ops without a native form run lane by lane.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from xdsl.dialects.builtin import ModuleOp, UnregisteredOp
from xdsl.ir import Operation

from ...dialects.errors import LoweringError
from .expression import Expr
from .prelude import Prelude
from .vector_types import VectorShape

if TYPE_CHECKING:
    from .function import FunctionEmitter

StatementRule = Callable[["FunctionEmitter", "Operation"], None]
LaneRule = Callable[[Prelude, Operation, list[Expr]], Expr]
SimdRule = Callable[[Prelude, Operation, VectorShape, list[Expr]], Expr | None]


@dataclass(frozen=True)
class LaneForm:
    """The expression of one lane; `repeats` if the rule writes an operand more than once."""

    rule: LaneRule
    repeats: bool


STATEMENTS: dict[type[Operation], StatementRule] = {}
LANES: dict[type[Operation], LaneForm] = {}
SIMD: dict[type[Operation], SimdRule] = {}

_Rule = TypeVar("_Rule")


def _register(table: dict[type[Operation], _Rule], op: type[Operation], rule: _Rule) -> None:
    if op in table:
        raise ValueError(f"{op.name} has two emission rules")
    table[op] = rule


def emits(*ops: type[Operation]) -> Callable[[StatementRule], StatementRule]:
    """Register a rule that writes the statements of `ops`."""

    def register(rule: StatementRule) -> StatementRule:
        for op in ops:
            _register(STATEMENTS, op, rule)
        return rule

    return register


def elementwise(*ops: type[Operation], repeats: bool = False) -> Callable[[LaneRule], LaneRule]:
    """Register the expression of one lane of `ops`."""

    def register(rule: LaneRule) -> LaneRule:
        for op in ops:
            _register(LANES, op, LaneForm(rule, repeats))
        return rule

    return register


def simd(*ops: type[Operation]) -> Callable[[SimdRule], SimdRule]:
    """Register the expression of `ops` on whole registers.

    The rule gets the shape of the first operand and answers None where the ISA has no instruction.
    It is asked only if every operand and the result is native.
    """

    def register(rule: SimdRule) -> SimdRule:
        for op in ops:
            _register(SIMD, op, rule)
        return rule

    return register


def has_rule(op: Operation) -> bool:
    """True if `op` can be emitted."""
    return type(op) in STATEMENTS or type(op) in LANES


def check_emissible(module: Operation) -> None:
    """LoweringError naming every op under `module` that has no emission rule, once each."""
    missing: dict[str, int] = {}
    for op in module.walk():
        if op is module or isinstance(op, ModuleOp) or has_rule(op):
            continue
        name = op.op_name.data if isinstance(op, UnregisteredOp) else op.name
        missing[name] = missing.get(name, 0) + 1
    if missing:
        listed = ", ".join(f"{name} ({count})" for name, count in sorted(missing.items()))
        raise LoweringError(
            f"no C emission rule for: {listed}; lower these ops to the loops level first"
        )
