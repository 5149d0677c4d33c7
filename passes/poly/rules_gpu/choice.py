"""What GPU schedules leave open, as data and as text: candidates differ in these fields.

    tile=2x4x4x4x2, stages=4, blocks=108

Fields at their defaults are not written; where all are, the text is `rules`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from xdsl.dialects.builtin import StringAttr
from xdsl.ir import Operation

from ....dialects.errors import IllegalScheduleError

NO_CHANGE = "rules"
ATTRIBUTE = "tilecast.gpu_choice"
STAGES = (2, 3, 4, 5)
THREADS = (32, 64, 128, 256, 512)
WARPS = (1, 2, 4, 8)
MOST_BLOCKS = 4096
KEYS = (32, 64, 128)


@dataclass(frozen=True)
class GpuChoice:
    """`tile` is the row of the table of tiles that contractions of its kind take, or warps along M
    and N and instructions along M, N and K of a product with a quantized weight; `stages` those of
    their ring of copies, `blocks` how many share the steps of their tiles (1: none do); `threads`
    those of the blocks of scheduled loops, `warps` those of the blocks of rows and of attention,
    which takes `keys` at a time. Empty or 0 leaves a decision to the rules."""

    tile: tuple[int, ...] = ()
    stages: int = 0
    threads: int = 0
    warps: int = 0
    blocks: int = 0
    keys: int = 0

    def __str__(self) -> str:
        given = [(f.name, getattr(self, f.name)) for f in fields(self)]
        shown = [f"{n}={'x'.join(map(str, v)) if n == 'tile' else v}" for n, v in given if v]
        return ", ".join(shown) or NO_CHANGE

    @staticmethod
    def parse(text: str) -> GpuChoice:
        """The choice that `text` was made of; IllegalScheduleError for other text."""
        if text == NO_CHANGE:
            return GpuChoice()
        try:
            parts = [part.partition("=") for part in text.split(", ")]
            given = {n: tuple(map(int, v.split("x"))) for n, _, v in parts}
            tile = given.pop("tile", ())
            found = GpuChoice(tile, **{n: value for n, (value,) in given.items()})
        except (TypeError, ValueError) as error:
            raise IllegalScheduleError(
                f"expected {'=N, '.join(f.name for f in fields(GpuChoice))}=N, found {text!r:.80}"
            ) from error
        known = (
            len(found.tile) in (0, 5),
            found.stages in (0, *STAGES),
            found.threads in (0, *THREADS),
            found.warps in (0, *WARPS),
            0 <= found.blocks <= MOST_BLOCKS,
            found.keys in (0, *KEYS),
        )
        if not all(known):
            raise IllegalScheduleError(f"{text!r:.80} is none of the choices of GPU schedules")
        return found


def choice_of(op: Operation) -> GpuChoice:
    """What was chosen for a scop, or for a product with a quantized weight."""
    attribute = op.attributes.get(ATTRIBUTE)
    if attribute is None:
        return GpuChoice()
    assert isinstance(attribute, StringAttr)
    return GpuChoice.parse(attribute.data)
