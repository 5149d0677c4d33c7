"""Codebooks of the user's own are formats like any other."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tilecast
import torch
from tilecast.dialects.errors import OptionError
from tilecast.dialects.quant.weight_format import parse_format

LEVELS = (0.35, -1.0, -0.35, 0.0, 1.0)


def test_five_levels_take_three_bits() -> None:
    tilecast.register_codebook("test_five", LEVELS)
    tilecast.register_codebook("test_five", LEVELS)  # the same again is no mistake
    format = parse_format("test_five:g32")
    assert format.element.width == 3
    expected = np.array([*sorted(LEVELS), 1.0, 1.0, 1.0], np.float32)
    np.testing.assert_array_equal(format.element.levels, expected)


def test_quantized_weights_are_multiples_of_the_levels() -> None:
    tilecast.register_codebook("test_five", LEVELS)
    torch.manual_seed(0)
    layer = torch.nn.Linear(32, 4, bias=False)
    found = tilecast.quantize(layer, "test_five:channel")(torch.eye(32)).detach().numpy().T
    for row in found:
        shares = row / np.abs(row).max()
        allowed = np.array([level / top for level in LEVELS for top in (0.35, 1.0)])
        assert np.abs(shares[:, None] - allowed).min(axis=1).max() < 1e-3


@pytest.mark.parametrize(
    ("name", "levels", "message"),
    [
        ("nf4", LEVELS, "expected a new name"),
        ("u4", LEVELS, "expected a new name"),
        ("Mine:g32", LEVELS, "expected a new name"),
        ("test_one", (1.0, 1.0), "2 to 256 different finite numbers, found 1"),
        ("test_many", range(257), "found 257"),
        ("test_nan", (0.0, math.nan), "finite"),
    ],
)
def test_what_is_no_codebook(name: str, levels: tuple[float, ...], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        tilecast.register_codebook(name, levels)


def test_a_name_means_one_list() -> None:
    tilecast.register_codebook("test_two", (0.0, 1.0))
    with pytest.raises(OptionError, match="expected a new name"):
        tilecast.register_codebook("test_two", (0.0, 2.0))
