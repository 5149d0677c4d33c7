"""Special functions with a parameter equal torch in float64, at poles and below zero too."""

from typing import Any

import pytest
import torch

X = torch.cat(
    [torch.linspace(-7.3, 9.1, 83), torch.tensor([torch.inf, -torch.inf, torch.nan])]
).double()
POLES = torch.tensor([0.0, -1.0, -4.0]).double()
VALUES = torch.tensor([-3.7, -1.0, -0.9, 0.0, 0.3, 0.5, 1.0, 1.2, 4.0]).double()[:, None]
DEGREES = torch.tensor([-1.0, 0.0, 1.0, 2.0, 3.9, 7.0, 12.0]).double()

CASES = {
    **{f"polygamma_{n}": (lambda x, n=n: torch.special.polygamma(n, x), (X,)) for n in range(5)},
    **{f"poles_{n}": (lambda x, n=n: torch.special.polygamma(n, x), (POLES,)) for n in (2, 3)},
    "gamma_of_several_variables": (
        lambda x: torch.special.multigammaln(x, 4),
        (X.clamp(min=1.6),),
    ),
    "spherical_bessel_function_with_its_limits": (
        torch.special.spherical_bessel_j0,
        (torch.cat([X, torch.tensor([0.0, -torch.inf])]),),
    ),
    **{
        f"{prefix}chebyshev_{kind}_of_all_degrees": (
            getattr(torch.special, f"{prefix}chebyshev_polynomial_{kind}"),
            tuple(torch.broadcast_tensors(VALUES, DEGREES)),
        )
        for kind in "tuvw"
        for prefix in ("", "shifted_")
    },
}


@pytest.mark.parametrize("name", CASES)
def test_function_equals_torch(equals_torch: Any, name: str) -> None:
    tolerance = 1e-8 if name == "polygamma_1" else 1e-11  # torch's own is coarse there
    equals_torch(CASES, name, tolerance, tolerance)
