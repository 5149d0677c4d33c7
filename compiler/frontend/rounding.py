"""Formulas over narrow floats: computed in float32 and rounded once, as torch's kernels do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar, cast

from xdsl.dialects.builtin import f32
from xdsl.ir import Attribute, SSAValue

from ...dialects.graph import Tensor, element_of, tensor_of
from .builder import Builder
from .tensor_types import NARROW

F = TypeVar("F", bound=Callable[..., Any])


def rounds_once(function: F) -> F:
    """Have an import rule see f16 and bf16 tensors, and result types, as f32.

    Its results are rounded to what torch gives.
    """

    @wraps(function)
    def in_f32(b: Builder, *arguments: Any) -> Any:
        outs = b.outs
        if not any(t.element_type in NARROW for t in outs) and not _has_narrow(arguments):
            return function(b, *arguments)
        b.outs = tuple(_wide_type(t) for t in outs)
        value = function(b, *(_widened(b, argument) for argument in arguments))
        b.outs = outs
        if isinstance(value, SSAValue):
            return _rounded(b, value, outs[0].element_type)
        return [
            v if v is None else _rounded(b, v, t.element_type)
            for v, t in zip(value, outs, strict=False)
        ]

    return cast(F, in_f32)


def _has_narrow(argument: Any) -> bool:
    if isinstance(argument, SSAValue):
        return element_of(argument) in NARROW
    return isinstance(argument, (list, tuple)) and any(map(_has_narrow, argument))


def _wide_type(type: Tensor) -> Tensor:
    return tensor_of(f32, type.get_shape()) if type.element_type in NARROW else type


def _widened(b: Builder, argument: Any) -> Any:
    if isinstance(argument, SSAValue):
        return b.cast(argument, f32) if element_of(argument) in NARROW else argument
    if isinstance(argument, Sequence) and not isinstance(argument, str):
        return [_widened(b, item) for item in argument]
    return argument


def _rounded(b: Builder, value: SSAValue, element: Attribute) -> SSAValue:
    return b.cast(value, element) if element in NARROW else value
