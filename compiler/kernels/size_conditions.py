"""The sizes for which a kernel is defined, as linear conditions that a call checks quickly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...dialects.errors import LoweringError
from ...passes.poly.sets import isl
from ..explain.affine_text import named_text


@dataclass(frozen=True)
class Condition:
    """constant + sum of coefficient * size >= 0 (== 0 where `is_equality`)."""

    constant: int
    coefficients: tuple[int, ...]
    is_equality: bool = False

    def holds(self, sizes: Sequence[int]) -> bool:
        """Whether `sizes` meet it."""
        value = self.constant + sum(c * n for c, n in zip(self.coefficients, sizes, strict=True))
        return value == 0 if self.is_equality else value >= 0


@dataclass(frozen=True)
class SizeConditions:
    """A disjunction of conjunctions. `text` says the same in words of the sizes' names."""

    text: str = ""
    choices: tuple[tuple[Condition, ...], ...] = ((),)

    def hold(self, sizes: Sequence[int]) -> bool:
        """Whether the kernel is defined for `sizes`."""
        return any(all(c.holds(sizes) for c in choice) for choice in self.choices)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        rows = [
            [[c.constant, list(c.coefficients), c.is_equality] for c in choice]
            for choice in self.choices
        ]
        return {"text": self.text, "choices": rows}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> SizeConditions:
        """Back from `to_json`."""
        choices = tuple(
            tuple(Condition(constant, tuple(row), equal) for constant, row, equal in choice)
            for choice in data["choices"]
        )
        return SizeConditions(data["text"], choices)


def size_conditions(context: str, names: Sequence[str]) -> SizeConditions:
    """The conditions that the isl text `context` over s0, s1, ... states.

    LoweringError where they are not linear (such as "n is even").
    """
    parts: list[Any] = []
    isl.Set(context).foreach_basic_set(parts.append)
    choices = tuple(
        tuple(_condition(c, len(names), context) for c in part.get_constraints()) for part in parts
    )
    inside = context[context.index("{") + 1 : context.rindex("}")].replace(":", "", 1)
    return SizeConditions(" ".join(named_text(inside, names).split()), choices)


def _condition(constraint: Any, count: int, context: str) -> Condition:
    if constraint.dim(isl.dim_type.div):
        raise LoweringError(f"the sizes of a kernel must meet linear conditions, found {context}")
    coefficients = [0] * count
    for k in range(constraint.dim(isl.dim_type.param)):
        name = constraint.get_dim_name(isl.dim_type.param, k)
        value = constraint.get_coefficient_val(isl.dim_type.param, k)
        coefficients[int(name[1:])] = value.to_python()
    constant = constraint.get_constant_val().to_python()
    return Condition(constant, tuple(coefficients), bool(constraint.is_equality()))
