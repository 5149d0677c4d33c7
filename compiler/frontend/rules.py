"""The registry of import rules: one per ATen overload, duplicates refused.

A rule receives the builder and every argument of the operator's schema in order (defaults filled
in, tensors as SSA values) and returns one value, or a sequence for operators with several results.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, TypeVar

from xdsl.ir import SSAValue

Result = SSAValue | Sequence[SSAValue | None] | None
Rule = Callable[..., Result]
F = TypeVar("F", bound=Rule)

RULES: dict[str, Rule] = {}

FAMILIES = (
    "pointwise",
    "hyperbolic",
    "special_functions",
    "chebyshev_polynomials",
    "float_parts",
    "selection",
    "activations",
    "views",
    "joins",
    "reductions",
    "statistics",
    "contractions",
    "normalization",
    "attention",
    "convolution",
    "transposed_convolution",
    "gradients",
    "pooling",
    "resampling",
    "interpolation",
    "cubic",
    "grid_sampling",
    "distances",
    "bags",
    "indexing",
    "sorting",
    "scattering",
    "index_updates",
    "scans",
    "recurrent",
    "searching",
    "creation",
    "metadata",
)


class UnsupportedUse(Exception):
    """An operator that has a rule is used in a way the rule cannot express; says why."""


def rule(*names: str) -> Callable[[F], F]:
    """Register the decorated function for the overloads `names`, e.g. "aten.linear.default"."""

    def register(function: F) -> F:
        for name in names:
            if name in RULES:
                raise ValueError(f"two import rules for {name}")
            RULES[name] = function
        return function

    return register


def load_rules() -> dict[str, Rule]:
    """All rules, with every family imported."""
    for family in FAMILIES:
        import_module(f".{family}", __package__)
    return RULES


def bind(schema: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> list[Any]:
    """Arguments of one call in schema order, defaults filled in.

    A single number given for a list of fixed length, as in `int[2] stride`, is repeated.
    """
    bound = []
    for position, argument in enumerate(schema.arguments):
        value = argument.default_value
        if position < len(args) and not argument.kwarg_only:
            value = args[position]
        elif argument.name in kwargs:
            value = kwargs[argument.name]
        if argument.N and isinstance(value, int):
            value = [value] * argument.N
        elif argument.N and isinstance(value, Sequence) and len(value) == 1:
            value = list(value) * argument.N
        bound.append(value)
    return bound
