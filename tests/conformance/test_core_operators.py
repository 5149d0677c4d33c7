"""Every core ATen operator is imported, or refused for a stated reason."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.conformance.core import WITHOUT, core_operators, way_of


def test_every_core_operator_is_imported_or_refused_for_a_reason() -> None:
    ways = {str(operator): way_of(operator) for operator in core_operators()}
    assert len(ways) > 150
    assert [name for name, way in ways.items() if way == "missing"] == []


def test_every_refused_core_operator_exists() -> None:
    assert set(WITHOUT) <= {str(operator) for operator in core_operators()}
