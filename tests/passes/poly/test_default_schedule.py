"""The schedule pass for several machines: the loops it leads to compute what linalg means."""

from __future__ import annotations

from typing import Any

import pytest
from tilecast.passes.poly.schedule import choose_schedule


@pytest.mark.parametrize("machine", ["scalar", "avx2", "avx512"])
def test_every_kernel_of_the_family_keeps_its_meaning(
    family_kernel: Any, machines: dict[str, Any], machine: str
) -> None:
    scop = family_kernel.scop()
    choose_schedule(scop, machines[machine], 1)
    family_kernel.check_lowered(scop)


def test_rewritten_statements_keep_their_meaning(
    family_kernel: Any, machines: dict[str, Any]
) -> None:
    scop = family_kernel.scop()
    choose_schedule(scop, machines["avx2"], 1)
    family_kernel.check_scop(scop)
