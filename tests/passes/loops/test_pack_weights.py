"""Weights in the arrangement that kernels read."""

from __future__ import annotations

import numpy as np
from tilecast.dialects.poly import PackAttr
from tilecast.passes.loops.pack_weights import pack_array
from xdsl.ir.affine import AffineMap


def test_neighbours_that_are_read_as_pairs_are_packed_as_pairs() -> None:
    source = np.arange(3 * 8, dtype=np.uint16).reshape(3, 8)
    pack = PackAttr.of(AffineMap.from_callable(lambda k, n: (n, k)), [3, 4])
    found = pack_array(source, pack, (4, 3))
    assert (found == source.view(np.int32).T).all()


def test_elements_that_have_no_pairs_are_moved() -> None:
    source = np.arange(12, dtype=np.float64).reshape(3, 4)
    pack = PackAttr.of(AffineMap.from_callable(lambda k, n: (n, k)), [3, 4])
    assert (pack_array(source, pack, (4, 3)) == source.T).all()
