"""What the compiler knows about a machine: vector units, registers, caches, cores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Isa = Literal["scalar", "neon", "avx2", "avx512"]

UNIT_BYTES = 32  # of a multiply-add unit, and of a load
MANY_REGISTERS = 32  # of vectors


@dataclass(frozen=True)
class Machine:
    """A code generation target. Sizes in bytes; `features` are archspec feature names, sorted.

    `isa` selects the emission rules of vector ops; `vector_bytes` is 0 for scalar code.
    """

    name: str
    isa: Isa
    features: tuple[str, ...] = ()
    vector_bytes: int = 0
    vector_registers: int = 16
    cores: int = 1
    l1_bytes: int = 32 * 1024
    l2_bytes: int = 1024 * 1024
    l3_bytes: int = 32 * 1024 * 1024
    multiprocessors: int = 0  # of a GPU; 0: those of the usual device of its architecture

    @property
    def is_gpu(self) -> bool:
        """Whether kernels are CUDA; the name is then the compute capability, such as sm_80."""
        return self.name.startswith("sm_")

    @property
    def has_fma(self) -> bool:
        """Whether a multiply and an add with one rounding are one instruction."""
        return self.isa != "scalar" or "fma" in self.features

    @property
    def multiply_adds(self) -> int:
        """Of vectors per cycle: two units of 32 bytes, which do one of 64 bytes together (Zen 2 to
        4; Intel's cores without a second unit for 512 bits)."""
        return 1 if self.vector_bytes > UNIT_BYTES else 2

    @property
    def broadcast_loads(self) -> float:
        """Loads of vectors that take as long as to read one element into all lanes, which takes one
        load of `UNIT_BYTES`."""
        return min(1.0, UNIT_BYTES / max(1, self.vector_bytes))

    @property
    def has_few_registers(self) -> bool:
        """Whether a tile that fits the vector registers is so small that the loads, constants and
        counting beside its multiply-adds show: of 16, not of 32."""
        return self.vector_registers < MANY_REGISTERS

    @property
    def has_pair_products(self) -> bool:
        """Whether one instruction sums two products of bf16 in f32."""
        return "avx512_bf16" in self.features

    def lanes(self, element_bytes: int) -> int:
        """Elements of `element_bytes` in one vector register; 1 for scalar code."""
        return max(1, self.vector_bytes // element_bytes)
