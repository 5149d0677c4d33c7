"""Sizes of a kernel as isl parameters; boxes, shapes and extents that depend on them."""

from __future__ import annotations

import islpy as isl
from tilecast.dialects.sizes import Size, Symbol
from tilecast.passes.poly.sets import Extent, box_extents, box_like, box_text
from tilecast.passes.poly.size_parameters import SizeParameters
from xdsl.ir.affine import AffineExpr

BATCH = Size.symbol(Symbol("batch", 1, 8))
SEQ = Size.symbol(Symbol("seq", 2, 256))


def test_a_product_is_a_parameter_that_grows_with_its_factors() -> None:
    parameters = SizeParameters([BATCH, 2 * BATCH * SEQ + 1, 7])
    assert parameters.names == ["batch", "batch_by_seq"]
    assert str(parameters.expr(2 * BATCH * SEQ + 1)) == "((s1 * 2) + 1)"
    context = parameters.context()
    for batch, rows, inside in ((1, 256, True), (8, 16, True), (8, 15, False), (2, 513, False)):
        point = isl.Set(f"[s0, s1] -> {{ : s0 = {batch} and s1 = {rows} }}")
        assert point.is_subset(context) == inside


def test_a_box_is_read_back_with_its_extents_and_their_bounds() -> None:
    parameters = SizeParameters([BATCH])
    extents = box_extents(parameters.box([3 * BATCH, 40, BATCH + 2]))
    assert extents == (24, 40, 10)
    first, plain, last = extents
    assert isinstance(first, Extent)
    assert not isinstance(plain, Extent)
    assert isinstance(last, Extent)
    assert (str(first), str(last)) == ("(s0 * 3)", "(s0 + 2)")


def test_multiples_stay_extents_and_products_estimate() -> None:
    extent = Extent(8, AffineExpr.symbol(0))
    assert isinstance(extent * 12, Extent)
    assert not isinstance(extent * extent, Extent)
    assert extent * extent == 64


def test_a_domain_that_is_no_box_has_no_extents() -> None:
    triangle = "[s0] -> { [i0, i1] : 0 <= i0 < s0 and 0 <= i1 <= i0 and s0 <= 8 }"
    assert box_extents(triangle) is None


def test_a_box_like_another_holds_for_the_same_sizes() -> None:
    text = SizeParameters([BATCH]).box([BATCH, 40])
    extents = box_extents(text)
    assert extents is not None
    assert isl.Set(box_like(extents, text)).is_equal(isl.Set(text))
    assert box_like([40], text) == box_text([40])
