"""C types of one-dimensional vectors: a register, a mask, or an array of lanes.

A vector whose lanes fill one register of the ISA exactly is that register. A vector of any other
width, and every vector on the scalar ISA, is a struct of lanes, on which operations are loops.
Index lanes are 32 bits wide, so that offsets have as many lanes as the f32 vectors they go with.

For NEON a vector is a type of the GNU extensions instead of a struct. Compilers put it, and the
loops over its lanes, into as many registers as it needs.

A mask (i1 lanes) is `__mmaskN` on AVX-512; on AVX2 it is an integer register whose lanes are all
ones or all zeros and as wide as 32 bytes allow (2 lanes: 16 bytes).
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.dialects.builtin import IndexType, VectorType
from xdsl.ir import Attribute

from ...costmodel.hardware import Isa
from ...dialects.errors import LoweringError
from .c_types import BYTES, C_TYPES, element_name
from .expression import Expr, call

_PREFIX = {128: "_mm", 256: "_mm256", 512: "_mm512"}
_SUFFIX = {"f32": "ps", "f64": "pd"}
_REGISTER_KIND = {"f32": "", "f64": "d"}


@dataclass(frozen=True)
class VectorShape:
    """`lanes` elements called `element` (index lanes are i32) on an ISA."""

    element: str
    lanes: int
    isa: Isa

    @property
    def is_mask(self) -> bool:
        """True for i1 lanes."""
        return self.element == "i1"

    @property
    def bits(self) -> int:
        """Width of the value in a register; of a mask, the width on AVX2."""
        if self.is_mask:
            return 128 if self.lanes == 2 else 256
        return 8 * BYTES[self.element] * self.lanes

    @property
    def is_native(self) -> bool:
        """True if one register (or mask register) holds the value."""
        if self.isa in ("scalar", "neon"):
            return False
        if self.is_mask:
            return self.lanes in (2, 4, 8, 16, 32) or (self.lanes == 64 and self.isa == "avx512")
        return self.bits in (128, 256) or (self.bits == 512 and self.isa == "avx512")

    @property
    def is_half(self) -> bool:
        """True for integers that fill half of the shortest register of x86."""
        is_integer = not self.is_mask and self.element not in ("f16", "bf16", "f32", "f64")
        return self.isa in ("avx2", "avx512") and is_integer and self.bits == 64

    @property
    def is_gnu(self) -> bool:
        """True if the value has a type of the GNU vector extensions."""
        return self.isa == "neon" and not self.is_mask and self.lanes & (self.lanes - 1) == 0

    @property
    def name(self) -> str:
        """f32x16: for names of helper functions."""
        return f"{self.element}x{self.lanes}"

    @property
    def struct(self) -> str:
        """Name of the struct of lanes, used where not native."""
        return f"tc_{self.name}"

    @property
    def c_type(self) -> str:
        """The C type."""
        if not self.is_native:
            return self.struct
        if self.is_mask and self.isa == "avx512":
            return f"__mmask{max(8, self.lanes)}"
        return f"__m{self.bits}{_REGISTER_KIND.get(self.element, 'i')}"

    def literal(self, items: str) -> str:
        """A value that is not native, from its lanes."""
        return f"({self.struct}){{{items}}}" if self.is_gnu else f"({self.struct}){{{{{items}}}}}"

    @property
    def lane_type(self) -> str:
        """The C type of one lane in an array of lanes."""
        return "unsigned char" if self.is_mask else C_TYPES[self.element]

    @property
    def mask_lane_bits(self) -> int:
        """Bits of one lane of a native AVX2 mask."""
        return self.bits // self.lanes

    @property
    def prefix(self) -> str:
        """_mm, _mm256 or _mm512."""
        return _PREFIX[self.bits]

    @property
    def suffix(self) -> str:
        """ps, pd or epi32."""
        return _SUFFIX.get(self.element, f"epi{8 * BYTES[self.element]}")

    @property
    def whole(self) -> str:
        """si512: the suffix of operations that ignore lanes."""
        return f"si{self.bits}"

    def intrinsic(self, operation: str, *arguments: Expr) -> Expr:
        """A call such as _mm512_add_ps(arguments...)."""
        return call(f"{self.prefix}_{operation}_{self.suffix}", *arguments)

    def with_element(self, element: str) -> VectorShape:
        """As many lanes of another element type."""
        return VectorShape(element, self.lanes, self.isa)

    @property
    def mask(self) -> VectorShape:
        """The mask of this vector."""
        return self.with_element("i1")

    @property
    def all_set(self) -> int:
        """An AVX-512 mask with every lane set."""
        return (1 << self.lanes) - 1


def vector_shape(type: Attribute, isa: Isa) -> VectorShape:
    """The shape of a vector type; LoweringError unless it has one fixed dimension."""
    if not isinstance(type, VectorType) or type.get_num_dims() != 1:
        raise LoweringError(f"expected a one-dimensional vector, got {type}")
    (lanes,) = type.get_shape()
    element = type.element_type
    name = "i32" if isinstance(element, IndexType) else element_name(element)
    return VectorShape(name, lanes, isa)
