"""What the suite measures: formats x rows x shapes, each combination a cell with a name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tilecast.dialects.quant import WeightFormat, parse_format

ROWS = (1, 4, 16, 64, 256)
SHAPES = ((4096, 4096), (11008, 4096), (4096, 11008), (5120, 13824), (1000, 1537))
# One line of the heat map per family, by number of bits.
FAMILIES = {
    "u": [f"u{width}:g128" for width in range(1, 9)],
    "i": [f"i{width}:g128" for width in range(1, 9)],
    "bipolar": [f"bipolar{width}:g128" for width in range(1, 9)],
    "float": ["e1m1:mx", "e2m1:mx", "e2m2:mx", "e3m2:mx", "e3m3:mx", "e4m3:mx"],
    "codebook": [f"kmeans{width}:g64" for width in range(2, 9)],
    "others": ["ternary:g128", "nf4:g64", "bfp4:g32", "u4:g32"],
}
ACTIVATIONS = ("f32", "int8")
KINDS = (*ACTIVATIONS, "int16")  # the last one only where it is asked for


@dataclass(frozen=True)
class Cell:
    """A product: `rows` x `columns` activations times a weight of `outputs` x `columns`."""

    format: str
    activations: str
    rows: int
    outputs: int
    columns: int

    @property
    def name(self) -> str:
        """For result files."""
        place = f"{self.rows}x{self.outputs}x{self.columns}"
        return f"{self.format} {self.activations} {place}"

    @property
    def weight_format(self) -> WeightFormat:
        """The meaning of `format`."""
        return parse_format(self.format)

    @property
    def weight_bytes(self) -> float:
        """Packed codes, scales and zero points."""
        bits = self.weight_format.bits(self.outputs, self.columns)
        return self.outputs * self.columns * bits / 8


def cells_of(
    families: Sequence[str],
    activations: Sequence[str],
    rows: Sequence[int],
    shapes: Sequence[tuple[int, int]],
) -> Iterator[list[Cell]]:
    """The cells of each shape and number of rows, which are measured together."""
    for outputs, columns in shapes:
        for count in rows:
            yield [
                Cell(format, kind, count, outputs, columns)
                for family in families
                for kind in activations
                for format in FAMILIES[family]
            ]
