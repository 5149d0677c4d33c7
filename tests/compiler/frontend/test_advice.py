"""What messages about missing operators advise."""

from __future__ import annotations

import pytest
import tilecast
import torch
from tilecast.compiler.frontend.advice import advice_for, bare_name
from tilecast.compiler.frontend.rules import RULES, load_rules
from tilecast.dialects.errors import UnsupportedOperatorError
from torch.fx import Graph


@pytest.mark.parametrize(
    ("operator", "wanted"),
    [
        ("aten.fft_rfft.default", "real and imaginary parts"),
        ("aten.linalg_svd.default", "left to PyTorch"),
        ("aten.randn_like.default", "give them to the model as an input"),
        ("aten.nonzero.default", "a mask or torch.where"),
        ("aten._unique2.default", "a mask or torch.where"),
        ("aten.special_zeta.default", "similar name that are supported: aten.special_"),
        ("aten.gcd.default", "write it with other operators"),
    ],
)
def test_advice_is_about_the_operator(operator: str, wanted: str) -> None:
    load_rules()
    packet, _, overload = operator.removeprefix("aten.").partition(".")
    target = getattr(getattr(torch.ops.aten, packet), overload)
    node = Graph().call_function(target, ())
    assert wanted in advice_for(node, operator, RULES)
    assert operator not in RULES


def test_names_without_overloads() -> None:
    assert bare_name("aten.linear.default") == "linear"
    assert bare_name("linear") == "linear"


def test_operators_with_effects_are_named() -> None:
    class Inverse(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.linalg.inv(x)

    with pytest.raises(UnsupportedOperatorError, match=r"(?s)aten\.linalg_inv.*left to PyTorch"):
        tilecast.compile(Inverse(), (torch.eye(3),))
