"""Extents that depend on the sizes of a call: as text, and as numbers."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import AffineMapAttr
from xdsl.ir.affine import AffineConstantExpr, AffineMap
from xdsl.parser import Parser

from ...passes.context import CompileContext
from ..explain.affine_text import affine_text


def shape_text(map: AffineMap, sizes: Sequence[str]) -> tuple[int | str, ...]:
    """The extents that `map` gives: numbers where they are constant, else texts."""
    return tuple(
        e.value if isinstance(e, AffineConstantExpr) else affine_text(e, sizes) for e in map.results
    )


def parse_map(text: str) -> AffineMap:
    """The affine map that prints as `text`."""
    attribute = Parser(CompileContext(), text).parse_attribute()
    assert isinstance(attribute, AffineMapAttr)
    return attribute.data
