"""Element types at the C boundary: one row per type, with its name in each place that writes it."""

from __future__ import annotations

from dataclasses import dataclass

from ...dialects.errors import PackageError


@dataclass(frozen=True)
class ElementType:
    """Names of one type: numpy's (`name`), the header's, safetensors', and in C sources."""

    name: str
    enum: str
    stored: str
    c: str
    bytes: int

    @property
    def is_float(self) -> bool:
        """Whether results are compared with a tolerance."""
        return self.enum in {"F32", "F64", "F16", "BF16"}


ELEMENT_TYPES = {
    row.name: row
    for row in (
        ElementType("float32", "F32", "F32", "float", 4),
        ElementType("float64", "F64", "F64", "double", 8),
        ElementType("float16", "F16", "F16", "uint16_t", 2),
        ElementType("bfloat16", "BF16", "BF16", "uint16_t", 2),
        ElementType("int8", "I8", "I8", "int8_t", 1),
        ElementType("int16", "I16", "I16", "int16_t", 2),
        ElementType("int32", "I32", "I32", "int32_t", 4),
        ElementType("int64", "I64", "I64", "int64_t", 8),
        ElementType("uint8", "U8", "U8", "uint8_t", 1),
        ElementType("bool", "BOOL", "BOOL", "unsigned char", 1),
    )
}


def element_type(name: str, where: str) -> ElementType:
    """The row of `name`; PackageError naming `where` for a type that has none."""
    if name not in ELEMENT_TYPES:
        raise PackageError(
            f"{where}: element type {name} cannot be stored in a package; "
            f"known: {', '.join(ELEMENT_TYPES)}"
        )
    return ELEMENT_TYPES[name]
