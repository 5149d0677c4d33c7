"""What a package is made of, as plain data: everything `write_package` needs and nothing else."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ...dialects.errors import PackageError
from .element_types import element_type

Array = npt.NDArray[np.generic]

C_KEYWORD = re.compile(
    "auto|break|case|char|const|continue|default|do|double|else|enum|extern|float|for|goto|if|"
    "inline|int|long|main|register|restrict|return|short|signed|sizeof|static|struct|switch|"
    "typedef|union|unsigned|void|volatile|while"
)


@dataclass(frozen=True)
class TensorSignature:
    """One input or output: `dtype` is a numpy name (or bfloat16), row-major, static shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Size of the dense data."""
        return self.elements * element_type(self.dtype, self.name).bytes


@dataclass(frozen=True)
class CheckOutput:
    """A reference result; |result - reference| <= absolute + relative * |reference| passes."""

    reference: Array
    absolute: float
    relative: float


@dataclass(frozen=True)
class CheckData:
    """Inputs and reference outputs that `test/check.c` runs, in the order of the signatures."""

    inputs: tuple[Array, ...]
    outputs: tuple[CheckOutput, ...]


@dataclass(frozen=True)
class PackageContent:
    """A compiled model, ready to be written.

    `sources` maps file names to C text and must define
    `void NAME_program(const void *const *, void *const *, const void *const *, unsigned char *)`.
    `weights` is in the order of that function's third argument, packed as the kernels read them.
    `ir` maps file names to text. `kernels` and `facts` go to the manifest as they are (JSON data);
    `calling` tells `load` how to rebuild the model's Python signature.
    """

    name: str
    target: str
    inputs: tuple[TensorSignature, ...]
    outputs: tuple[TensorSignature, ...]
    arena_bytes: int
    sources: Mapping[str, str]
    weights: Mapping[str, Array]
    check: CheckData
    ir: Mapping[str, str] = field(default_factory=dict)
    kernels: tuple[Mapping[str, Any], ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    calling: Mapping[str, Any] = field(default_factory=dict)
    arch_flags: tuple[str, ...] = ()
    standard: Literal["c99", "c11"] = "c11"
    inline_weights: bool = False
    static_arena: bool = False

    @property
    def is_cuda(self) -> bool:
        """Whether the kernels are CUDA files."""
        return any(file.endswith(".cu") for file in self.sources)


def check_content(content: PackageContent) -> None:
    """PackageError where `content` does not fit together, before anything is written."""
    name = content.name
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) or C_KEYWORD.fullmatch(name):
        raise PackageError(f"package name {name!r}: expected a C identifier such as 'minilm'")
    reserved = {f"{name}_api.c", f"{name}_api.cu", f"{name}_weights.c", f"{name}_private.h"}
    for file in content.sources:
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\.(c|h|cu)", file) or file in reserved:
            raise PackageError(
                f"source file name {file!r} is reserved or not plain NAME.c, NAME.h or NAME.cu"
            )
    for file in content.ir:
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\.mlir", file):
            raise PackageError(f"IR file name {file!r} is not plain NAME.mlir")
    _check_arrays("check input", content.inputs, content.check.inputs)
    references = tuple(output.reference for output in content.check.outputs)
    _check_arrays("check output", content.outputs, references)
    for symbol, array in content.weights.items():
        if symbol.startswith("__") or any(ord(c) < 0x20 for c in symbol):
            # safetensors keeps __metadata__, alignment fillers are called __fill_N.
            raise PackageError(f"weight name {symbol!r} starts with '__' or is not printable")
        element_type(array.dtype.name, f"weight {symbol}")


def _check_arrays(
    what: str, signatures: tuple[TensorSignature, ...], arrays: tuple[Array, ...]
) -> None:
    if len(signatures) != len(arrays):
        raise PackageError(f"{what}s: expected {len(signatures)} arrays, found {len(arrays)}")
    for signature, array in zip(signatures, arrays, strict=True):
        found = (array.dtype.name, array.shape)
        if found != (signature.dtype, signature.shape):
            raise PackageError(
                f"{what} {signature.name}: expected {signature.dtype}{list(signature.shape)}, "
                f"found {found[0]}{list(found[1])}"
            )
