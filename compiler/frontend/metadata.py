"""Operators that compute nothing: copies, aliases, and checks torch has made at export."""

from __future__ import annotations

from xdsl.ir import SSAValue

from .builder import Builder
from .rules import rule


@rule(
    "aten.clone.default",
    "aten.contiguous.default",
    "aten.detach.default",
    "aten.detach_copy.default",
    "aten.alias.default",
    "aten.alias_copy.default",
    "aten.lift_fresh.default",
    "aten.lift_fresh_copy.default",
    "aten.positive.default",
    "aten.real.default",
    "aten.conj.default",
    "aten.resolve_conj.default",
    "aten.resolve_neg.default",
)
def identity(b: Builder, source: SSAValue, *_: object) -> SSAValue:
    """The same values."""
    return source


@rule(
    "aten._assert_tensor_metadata.default",
    "aten._assert_async.msg",
    "aten._assert_scalar.default",
    "aten.sym_constrain_range_for_size.default",
    "aten.sym_constrain_range.default",
)
def checked_at_export(b: Builder, *_: object) -> None:
    """Nothing to do at run time."""
    return None
