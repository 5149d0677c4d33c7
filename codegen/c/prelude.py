"""What the kernels of one translation unit need before them: includes, typedefs, helpers."""

from __future__ import annotations

from collections.abc import Callable

from xdsl.ir import Attribute

from ...costmodel.hardware import Isa, Machine
from .vector_types import VectorShape, vector_shape

_FENCES = {
    "avx512": (
        "!defined(__AVX512F__) || !defined(__AVX512BW__) || !defined(__AVX512DQ__) || "
        "!defined(__AVX512VL__) || !defined(__FMA__)",
        "-march=x86-64-v4",
    ),
    "avx2": (
        "!defined(__AVX2__) || !defined(__FMA__) || !defined(__F16C__)",
        "-march=x86-64-v3",
    ),
}


class Prelude:
    """Collects includes and helper functions, each written once and in order of dependence."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._includes: set[str] = {"<stdint.h>"}
        self._definitions: dict[str, str] = {}
        self.named_tables: dict[tuple[str, tuple[str, ...]], int] = {}

    @property
    def isa(self) -> Isa:
        """The instruction set of the machine."""
        return self.machine.isa

    def include(self, header: str) -> None:
        """Have `#include header`."""
        self._includes.add(header)

    def define(self, name: str, text: Callable[[], str]) -> str:
        """Have the definition called `name`, made by `text` on first request; returns `name`.

        Definitions that `text` requests come before.
        """
        if name not in self._definitions:
            made = text()
            self._definitions[name] = made
        return name

    def shape(self, type: Attribute) -> VectorShape:
        """The shape of a vector type, its C type made available."""
        shape = vector_shape(type, self.isa)
        self.use(shape)
        return shape

    def use(self, shape: VectorShape) -> VectorShape:
        """Make the C type of `shape` available."""
        if shape.is_native:
            self.include("<immintrin.h>")
        elif shape.is_gnu:
            size = shape.bits // 8
            self.define(
                shape.struct,
                lambda: (
                    f"typedef {shape.lane_type} {shape.struct} "
                    f"__attribute__((vector_size({size})));\n"
                ),
            )
        else:
            self.define(
                shape.struct,
                lambda: (
                    f"typedef struct {{\n    {shape.lane_type} lane[{shape.lanes}];\n}} "
                    f"{shape.struct};\n"
                ),
            )
        return shape

    def text(self) -> str:
        """Includes and definitions as C."""
        parts = ["".join(f"#include {header}\n" for header in sorted(self._includes))]
        if "<immintrin.h>" in self._includes:
            condition, flag = _FENCES[self.isa]
            parts.append(f'#if {condition}\n#error "compile this file with {flag}"\n#endif\n')
        parts.extend(self._definitions.values())
        return "\n".join(parts)
