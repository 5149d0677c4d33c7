"""The speeds of a compilation's target: measured where this machine was probed, else estimated."""

from __future__ import annotations

from ...costmodel.hardware import Machine
from ...costmodel.speeds import Speeds, estimated_speeds
from ...dialects.errors import TilecastError
from ..runtime.cache import open_store
from ..runtime.toolchain import find_toolchain


def target_speeds(machine: Machine) -> Speeds:
    """What `tilecast targets --probe` found for `machine`; an estimate without a compiler."""
    from .probe import known_speeds

    try:
        return known_speeds(machine, find_toolchain(), open_store())
    except TilecastError:
        return estimated_speeds(machine)
