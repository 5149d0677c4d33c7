"""The matrices of Winograd's algorithm compute sliding sums with the rounding errors they state."""

from __future__ import annotations

import numpy as np
import pytest
from tilecast.dialects.winograd import POINTS, WINDOW, transformed_weights, transforms


def convolved(source: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Direct sums over [..., n, n] and [..., 3, 3]."""
    windows = np.lib.stride_tricks.sliding_window_view(source, (WINDOW, WINDOW), (-2, -1))
    return np.einsum("...yxij,...ij->...yx", windows, weight)


@pytest.mark.parametrize("tile", POINTS)
def test_a_tile_is_a_convolution(tile: int) -> None:
    rng = np.random.default_rng(0)
    size = tile + WINDOW - 1
    source, weight = rng.normal(size=(5, size, size)), rng.normal(size=(5, WINDOW, WINDOW))
    found = transforms(tile)
    products = (found.inputs @ source @ found.inputs.T) * transformed_weights(weight, tile)
    result = found.outputs @ products @ found.outputs.T
    np.testing.assert_allclose(result, convolved(source, weight), rtol=0, atol=1e-12)


@pytest.mark.parametrize("tile", POINTS)
def test_points_are_exact_in_float32(tile: int) -> None:
    found = transforms(tile)
    for matrix in (found.inputs, found.outputs):
        np.testing.assert_array_equal(matrix.astype(np.float32).astype(np.float64), matrix)


@pytest.mark.parametrize("tile", POINTS)
def test_rounding_errors_grow_by_the_amplification(tile: int) -> None:
    """Products rounded to float32, against the same rounding of direct products."""
    rng = np.random.default_rng(1)
    size, found, eps = tile + WINDOW - 1, transforms(tile), float(np.finfo(np.float32).eps)
    source = rng.normal(size=(40000, size, size))
    weight = rng.normal(size=(40000, WINDOW, WINDOW))
    products = (found.inputs @ source @ found.inputs.T) * transformed_weights(weight, tile)
    noise = products * eps * rng.normal(size=products.shape)
    errors = np.sqrt(np.mean((found.outputs @ noise @ found.outputs.T) ** 2, axis=0))
    direct = eps * np.sqrt(np.mean(convolved(source**2, weight**2)))
    # 40000 samples of products of four normal numbers scatter by a few percent
    assert errors.max() / direct == pytest.approx(found.amplification, rel=0.1)
