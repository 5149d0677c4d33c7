"""What the products with f32 activations have in common: panels, decoder, activations, tiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from xdsl.ir import SSAValue

from ....dialects.quant.ops import QuantizedLinearOp
from ..opaque_rules.kernel import OpaqueKernel
from ..opaque_rules.loop_builder import LoopBuilder
from .activations import FloatRows, arranged, float_source
from .decode import Decoder
from .lanes import Lanes
from .panel_access import PanelAccess, over_tiles
from .panels import TileShape, pack_panels


class TileProduct(Protocol):
    """Writes the loops of one tile of outputs."""

    def tile(self, b: LoopBuilder, tile: SSAValue) -> None:
        """The outputs of all rows and the lanes of a tile."""


def lower_float_product(
    op: QuantizedLinearOp,
    kernel: OpaqueKernel,
    b: LoopBuilder,
    shape: TileShape,
    product: Callable[[PanelAccess, Decoder, FloatRows], TileProduct],
    zeros_meet_sums: bool,
    order: str = "bits",
) -> None:
    """The activations in the order they are read in, then one tile of outputs after the other.

    `zeros_meet_sums` says that zero points are taken off by sums of activations, `order` how codes
    are packed.
    """
    source = float_source(op, kernel, b)
    panels = pack_panels(op, kernel, shape, order)
    lanes = Lanes(panels.tile.lanes, kernel.machine.has_fma)
    decoder = Decoder(op.weight_format, lanes, kernel.machine, panels.levels)
    with_sums = zeros_meet_sums and panels.zeros is not None
    x = arranged(b, kernel, source, panels, decoder, with_sums)
    over_tiles(b, panels, product(PanelAccess(panels, lanes, kernel.out), decoder, x).tile)
