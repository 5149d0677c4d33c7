"""What a package is made of, as plain data: everything `write_package` needs and nothing else."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ...dialects.errors import PackageError
from ...dialects.sizes import Symbol, upper_bound, value_at
from .cpu_features import check_features_are_known
from .element_types import element_type

Array = npt.NDArray[np.generic]

C_KEYWORD = re.compile(
    "auto|break|case|char|const|continue|default|do|double|else|enum|extern|float|for|goto|if|"
    "inline|int|long|main|register|restrict|return|short|signed|sizeof|static|struct|switch|"
    "typedef|union|unsigned|void|volatile|while"
)


@dataclass(frozen=True)
class TensorSignature:
    """One input or output: `dtype` is a numpy name (or bfloat16), row-major; extents that a call
    chooses are a `Size`."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        """Number of elements, at most."""
        return math.prod(self.largest)

    @property
    def largest(self) -> tuple[int, ...]:
        """The shape at the largest sizes."""
        return tuple(upper_bound(n) for n in self.shape)

    def at(self, sizes: Mapping[str, int]) -> TensorSignature:
        """The same tensor for given sizes."""
        return replace(self, shape=tuple(value_at(n, sizes) for n in self.shape))

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
    """Inputs and reference outputs that `test/check.c` runs, in the order of the signatures.

    `sizes` are those that they have.
    """

    inputs: tuple[Array, ...]
    outputs: tuple[CheckOutput, ...]
    sizes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class StateData:
    """An input that the model changes: what it holds at first, and the output of its next value,
    which may be the same memory where `in_place`."""

    initial: Array
    input: int
    output: int
    in_place: bool = False

    @property
    def place(self) -> str:
        """Where the next value is, for readers."""
        return f"output {self.output}" + (" (which may be the same memory)" * self.in_place)


@dataclass(frozen=True)
class Program:
    """The model's computation for one instruction set.

    `sources` maps file names to C text and must define
    `void SYMBOL_program(const void *const *, void *const *, const void *const *, unsigned char *)`.
    `weights` is in the order of that function's third argument, packed as the kernels read them.
    It runs where the CPU has `features` (names of `cpu_features.py`), built with `arch_flags`.
    `level` is its name for users. `kernels` and `facts` go to the manifest as they are (JSON data).
    """

    symbol: str
    level: str
    sources: Mapping[str, str]
    weights: Mapping[str, Array]
    arena_bytes: int
    features: tuple[str, ...] = ()
    arch_flags: tuple[str, ...] = ()
    kernels: tuple[Mapping[str, Any], ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PackageContent:
    """A compiled model, ready to be written.

    Of several `programs` the first that the CPU can run is chosen at run time. `ir` maps file names
    to text; `calling` tells `load` how to rebuild the model's Python signature. `states` are inputs
    whose next values are outputs: callers give them back. `sizes` are chosen by each call.
    Programs of a `streamed` package fetch each weight from the file when they need it.
    """

    name: str
    target: str
    inputs: tuple[TensorSignature, ...]
    outputs: tuple[TensorSignature, ...]
    programs: tuple[Program, ...]
    check: CheckData
    ir: Mapping[str, str] = field(default_factory=dict)
    calling: Mapping[str, Any] = field(default_factory=dict)
    states: tuple[StateData, ...] = ()
    in_place: tuple[tuple[int, int], ...] = ()
    sizes: tuple[Symbol, ...] = ()
    standard: Literal["c99", "c11"] = "c11"
    inline_weights: bool = False
    static_arena: bool = False
    streamed: bool = False

    @property
    def arena_bytes(self) -> int:
        """Scratch memory that is enough for any of the programs."""
        return max(program.arena_bytes for program in self.programs)

    @property
    def max_rank(self) -> int:
        """The largest rank of an input or output, at least 1."""
        return max([1, *(len(s.shape) for s in (*self.inputs, *self.outputs))])

    @cached_property
    def weights(self) -> dict[str, Array]:
        """Every array that some program reads, once; equal ones of several programs are shared."""
        return {name: array for names in self._weight_names for name, array in names.items()}

    def weight_positions(self, index: int) -> tuple[int, ...]:
        """Where among `weights` the arrays of program `index` stand, in the program's order."""
        position = {name: k for k, name in enumerate(self.weights)}
        return tuple(position[name] for name in self._weight_names[index])

    @cached_property
    def _weight_names(self) -> list[dict[str, Array]]:
        """For each program its arrays, under names that are the same only for equal bytes."""
        chosen: list[dict[str, Array]] = []
        known: dict[str, Array] = {}
        for program in self.programs:
            names: dict[str, Array] = {}
            for symbol, array in program.weights.items():
                candidates = (symbol, *(f"{symbol}@{p.level}" for p in self.programs))
                name = next(n for n in candidates if n not in known or is_equal(known[n], array))
                known[name] = names[name] = array
            chosen.append(names)
        return chosen

    @property
    def is_cuda(self) -> bool:
        """Whether the kernels are CUDA files."""
        return any(file.endswith(".cu") for p in self.programs for file in p.sources)

    def source_paths(self) -> dict[str, str]:
        """Path under `src/` (or `cuda/`) -> text; several programs have a folder each."""
        if len(self.programs) == 1:
            return dict(self.programs[0].sources)
        return {
            f"{p.level}/{file}": text for p in self.programs for file, text in p.sources.items()
        }


def is_equal(a: Array, b: Array) -> bool:
    """Whether two arrays have the same type, shape and bytes."""
    if a is b:
        return True
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    left, right = (np.ascontiguousarray(x).reshape(-1).view(np.uint8) for x in (a, b))
    return bool(np.array_equal(left, right))


def check_content(content: PackageContent) -> None:
    """PackageError where `content` does not fit together, before anything is written."""
    name = content.name
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) or C_KEYWORD.fullmatch(name):
        raise PackageError(f"package name {name!r}: expected a C identifier such as 'minilm'")
    _check_programs(content)
    if content.streamed and (content.inline_weights or content.is_cuda or not content.weights):
        raise PackageError(
            f"package {name!r}: streamed weights are those of a file, for a CPU; leave out "
            "inline_weights, or compile without stream_weights"
        )
    for file in content.ir:
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\.mlir", file):
            raise PackageError(f"IR file name {file!r} is not plain NAME.mlir")
    sizes = content.check.sizes
    inputs = tuple(tensor.at(sizes) for tensor in content.inputs)
    _check_arrays("check input", inputs, content.check.inputs)
    references = tuple(output.reference for output in content.check.outputs)
    outputs = tuple(tensor.at(sizes) for tensor in content.outputs)
    _check_arrays("check output", outputs, references)
    for symbol, array in content.weights.items():
        if symbol.startswith("__") or any(ord(c) < 0x20 for c in symbol):
            # safetensors keeps __metadata__, alignment fillers are called __fill_N.
            raise PackageError(f"weight name {symbol!r} starts with '__' or is not printable")
        element_type(array.dtype.name, f"weight {symbol}")


def _check_programs(content: PackageContent) -> None:
    """PackageError where programs cannot stand beside each other."""
    name = content.name
    reserved = {f"{name}_api.c", f"{name}_api.cu", f"{name}_weights.c", f"{name}_private.h"}
    if not content.programs:
        raise PackageError(f"package {name!r} has no program")
    for field_name in ("level", "symbol"):
        values = [getattr(program, field_name) for program in content.programs]
        if len(set(values)) < len(values):
            raise PackageError(f"package {name!r}: two programs have one {field_name}: {values}")
    for program in content.programs:
        if not re.fullmatch(r"[a-z0-9][a-z0-9_.-]*", program.level):
            raise PackageError(f"level {program.level!r}: expected a name such as 'x86-64-v3'")
        check_features_are_known(program.features)
        for file in program.sources:
            if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\.(c|h|cu)", file) or file in reserved:
                raise PackageError(
                    f"source file name {file!r} is reserved or not plain NAME.c, NAME.h or NAME.cu"
                )


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
