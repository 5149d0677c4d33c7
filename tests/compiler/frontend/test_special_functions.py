"""Special functions with a parameter equal torch in float64, at poles and below zero too."""

import pytest
import torch
from tilecast.compiler.frontend import export_model, import_program
from tilecast.dialects.reference.graph import evaluate
from torch import Tensor, nn
from torch.testing import assert_close


class Special(nn.Module):
    """A function of torch.special."""

    def __init__(self, name: str, *parameters: int) -> None:
        super().__init__()
        self.name, self.numbers = name, parameters

    def forward(self, *inputs: Tensor) -> Tensor:
        return getattr(torch.special, self.name)(*self.numbers, *inputs)


def check(model: nn.Module, *inputs: Tensor, tolerance: float = 1e-11) -> None:
    imported = import_program(export_model(model, inputs))
    (found,) = evaluate(imported.module, imported.weights, [x.numpy() for x in inputs])
    assert_close(
        torch.from_numpy(found), model(*inputs), rtol=tolerance, atol=tolerance, equal_nan=True
    )


X = torch.cat(
    [torch.linspace(-7.3, 9.1, 83), torch.tensor([torch.inf, -torch.inf, torch.nan])]
).double()


@pytest.mark.parametrize("order", [0, 1, 2, 3, 4])
def test_polygamma_on_both_sides_of_zero(order: int) -> None:
    tolerance = 1e-8 if order == 1 else 1e-11  # torch's own is coarse there
    check(Special("polygamma", order), X, tolerance=tolerance)


@pytest.mark.parametrize("order", [2, 3])
def test_polygamma_has_poles(order: int) -> None:
    check(Special("polygamma", order), torch.tensor([0.0, -1.0, -4.0]).double())


def test_gamma_of_several_variables() -> None:
    class Gamma(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.special.multigammaln(x, 4)

    check(Gamma(), X.clamp(min=1.6))


def test_spherical_bessel_function_has_its_limits() -> None:
    check(Special("spherical_bessel_j0"), torch.cat([X, torch.tensor([0.0, -torch.inf])]))


@pytest.mark.parametrize("kind", "tuvw")
@pytest.mark.parametrize("prefix", ["", "shifted_"])
def test_chebyshev_polynomials_of_all_degrees(kind: str, prefix: str) -> None:
    x = torch.tensor([-3.7, -1.0, -0.9, 0.0, 0.3, 0.5, 1.0, 1.2, 4.0]).double()[:, None]
    degree = torch.tensor([-1.0, 0.0, 1.0, 2.0, 3.9, 7.0, 12.0]).double()
    check(Special(f"{prefix}chebyshev_polynomial_{kind}"), *torch.broadcast_tensors(x, degree))
