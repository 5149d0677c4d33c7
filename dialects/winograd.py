"""Winograd's minimal filtering F(m, 3): m results of a window of 3 by m + 2 products.

    result = A^T ((G g) * (B^T d))        g: 3 weights, d: m + 2 inputs, *: element by element

They come from interpolation of a product of polynomials at m + 1 points and infinity (Toom-Cook;
Lavin and Gray 2015). Points are 0 and pairs of opposite sign, whose rows share their even and odd
parts. Those of F(4, 3) are not the usual 0, 1, -1, 2, -2, which lose a digit more: rounding errors
grow by the `amplification`, and 0, 5/8, -5/8, 3/2, -3/2 (after Barabasz et al. 2020) have the
least, 8.2 against 31 in two dimensions, of pairs of short binary fractions, which are exact here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import prod

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

WINDOW = 3
POINTS: dict[int, tuple[float, ...]] = {
    2: (0.0, 1.0, -1.0),
    4: (0.0, 0.625, -0.625, 1.5, -1.5),
}
"""Finite points of F(m, 3), by m."""


@dataclass(frozen=True, eq=False)
class Transforms:
    """F(m, 3): `inputs` is B^T [m + 2, m + 2], `weights` G [m + 2, 3], `outputs` A^T [m, m + 2]."""

    inputs: Floats
    weights: Floats
    outputs: Floats

    @property
    def amplification(self) -> float:
        """How much larger than those of direct sums the rounding errors of a 2D result are.

        For independent inputs and weights, product u of a result has the variance |B^T_u|^2 |G_u|^2
        (times those of inputs and weights) and enters with the factor A^T_u; each is rounded
        relative to its own size. Direct sums have 3 products of variance 1. The worst result of a
        tile decides; in two dimensions the factor is squared.
        """
        products = np.sum(self.inputs**2, axis=1) * np.sum(self.weights**2, axis=1)
        return float(np.max(self.outputs**2 @ products)) / WINDOW


@cache
def transforms(outputs: int) -> Transforms:
    """The matrices of F(outputs, 3)."""
    points = POINTS[outputs]

    def others(k: int) -> list[float]:
        return [p for p in points if p != points[k]]

    scale = [prod(points[k] - p for p in others(k)) for k in range(len(points))]
    at_infinity = [*[0.0] * (WINDOW - 1), 1.0]
    weights = [[p**j / n for j in range(WINDOW)] for p, n in zip(points, scale, strict=True)]
    inputs = [[*np.poly(others(k))[::-1], 0.0] for k in range(len(points))]
    results = [[*(p**i for p in points), float(i == outputs - 1)] for i in range(outputs)]
    return Transforms(
        np.array([*inputs, np.poly(points)[::-1]]),
        np.array([*weights, at_infinity]),
        np.array(results),
    )


def transformed_weights(weight: npt.NDArray[np.generic], outputs: int) -> Floats:
    """G g G^T over the last two dims [..., 3, 3] of `weight`: [..., m + 2, m + 2], in float64."""
    matrix = transforms(outputs).weights
    wide: Floats = np.asarray(weight, np.float64)
    result: Floats = matrix @ wide @ matrix.T
    return result
