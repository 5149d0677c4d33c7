"""Operators that compute nothing: copies, aliases, and checks torch has made at export."""

from __future__ import annotations

from xdsl.ir import SSAValue

from ...dialects.graph import element_of, shape_of
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


@rule("aten.copy.default")
def copy(b: Builder, target: SSAValue, source: SSAValue, _non_blocking: bool) -> SSAValue:
    """`source` in the shape and type of what it is assigned to."""
    return b.expand(b.cast(source, element_of(target)), shape_of(target))
