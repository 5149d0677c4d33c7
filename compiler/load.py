"""`tilecast.load`: a package on disk to a callable program.

Every file is verified by its sha256, the sources are built with the C compiler at hand (cached by
content), and calls go through the package's own C interface.
"""

from __future__ import annotations

import ctypes
import hashlib
import shutil
import tempfile
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils import _pytree as pytree

from ..codegen.package import StoredPackage, StoredProgram, TensorSignature, read_package
from ..codegen.package.programs import macro_name
from ..dialects.errors import BuildError, InvalidInputError, PackageError, VerifyFailure
from ..dialects.sizes import has_symbols
from .runtime.cache import open_store
from .runtime.call_sizes import CallSizes
from .runtime.signature import DTYPES, Signature
from .runtime.toolchain import CUDA_FLAGS, Toolchain, find_toolchain, toolchain_for
from .target import native_machine, resolve_target

FLAGS = ("-O3", "-fPIC", "-ffp-contract=off", "-fno-math-errno")
PARTS = ("src/", "include/", "cuda/")
LIBRARY = "library.so"
GLUE = """\
#include "{name}.h"
size_t tilecast_context_bytes(void);
size_t tilecast_context_bytes(void) {{ return sizeof({name}_context); }}
"""


@dataclass(frozen=True)
class OutputReport:
    """How one output of a package compares with its stored reference."""

    name: str
    elements: int
    mismatches: int
    max_error: float

    def __str__(self) -> str:
        state = "MISMATCH" if self.mismatches else "ok"
        return f"{self.name}: {self.elements} elements, max abs error {self.max_error:.3g}, {state}"


@dataclass(frozen=True)
class PackageReport:
    """The stored inputs run through the built program, output by output."""

    outputs: tuple[OutputReport, ...]

    def __str__(self) -> str:
        return "\n".join(map(str, self.outputs))


class LoadedPackage:
    """A built package; call it as the model it was saved from."""

    def __init__(self, stored: StoredPackage, library: Path, threads: int | None) -> None:
        self.package = stored
        self._library = ctypes.CDLL(str(library))
        self._threads = threads
        self._signature = _calling(stored)
        self._sizes = CallSizes(stored.sizes, stored.inputs)
        pairs = () if stored.sizes else stored.in_place
        self._updated = self._signature.updated_in_place(pairs) if self._signature else {}
        self.states = self._stored_states()
        self._lock = threading.Lock()
        size = self._function("tilecast_context_bytes", ctypes.c_size_t)()
        self._context = ctypes.create_string_buffer(size)
        init = self._function(f"{stored.name}_init", ctypes.c_int)
        weights = str(stored.weights).encode() if stored.weights is not None else None
        self._check(init(self._context, weights))
        self._run = self._function(f"{stored.name}_run", ctypes.c_int)
        free = self._function(f"{stored.name}_free", None)
        weakref.finalize(self, free, self._context)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program on torch tensors; the result has the structure the model returned."""
        if self._signature is None:
            inputs = [_checked(v, s) for v, s in self._paired(args)]
            results = self.run(inputs)
            return results[0] if len(results) == 1 else tuple(results)
        signature = self._signature
        if self.states:
            args = (tuple(self.states.values()), *args)
        leaves, spec = pytree.tree_flatten((args, kwargs))
        if spec != signature.in_spec:
            raise InvalidInputError(
                f"{self.package.name}: arguments have another structure than the model was "
                f"compiled with: expected {signature.in_spec}, found {spec}"
            )
        for position, constant in signature.constants.items():
            if leaves[position] != constant:
                raise InvalidInputError(
                    f"{self.package.name}: argument {position} was {constant!r} when the model "
                    f"was compiled, found {leaves[position]!r}"
                )
        tensors = [leaves[position] for position in signature.positions]
        inputs = [_checked(v, s) for v, s in self._paired(tensors)]
        # a changed input gets its new value where it is; a copy of it made above does not count
        given = {j: inputs[k] for j, k in self._updated.items() if is_at(inputs[k], tensors[k])}
        results = self._results(inputs, given)
        return pytree.tree_unflatten(signature.values(results, tensors), signature.out_spec)

    def run(self, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """The program's results for its flat inputs (dense, of the declared types and shapes)."""
        return self._results(inputs, {})

    def _results(
        self, inputs: Sequence[torch.Tensor], given: Mapping[int, torch.Tensor]
    ) -> list[torch.Tensor]:
        """The results, those of `given` in tensors that are there already."""
        values = self._sizes.bind([tensor.shape for tensor in inputs])
        outputs = [spec.at(values) for spec in self.package.outputs]
        results = [
            given[j] if j in given else torch.empty(s.shape, dtype=DTYPES[s.dtype])
            for j, s in enumerate(outputs)
        ]
        sizes = [(ctypes.c_int64 * len(values))(*values.values())] if values else []
        with self._lock:  # the context holds one arena
            if self._threads is not None:
                self._set_threads(self._threads)
            self._check(self._run(self._context, *sizes, _pointers(inputs), _pointers(results)))
        return results

    def reset(self) -> None:
        """Give `states`, buffers that the model changes from call to call, their first values."""
        for name, value in self._stored_states().items():
            self.states[name].copy_(value)

    def _stored_states(self) -> dict[str, torch.Tensor]:
        folder = self.package.directory / "state"
        specs = (self.package.inputs[k] for k, _ in self.package.states)
        return {s.name: _read_tensor(folder / f"{n}.bin", s) for n, s in enumerate(specs)}

    def check_inputs(self) -> tuple[Any, ...]:
        """The positional arguments that the package was saved with, to try it on."""
        tensors = self._stored_tensors("input", self.package.inputs)
        if self._signature is None:
            return tuple(tensors)
        signature = self._signature
        leaves: list[Any] = [None] * (len(tensors) + len(signature.constants))
        for position, tensor in zip(signature.positions, tensors, strict=True):
            leaves[position] = tensor
        for position, constant in signature.constants.items():
            leaves[position] = constant
        args, _ = pytree.tree_unflatten(leaves, signature.in_spec)
        return tuple(args)

    def verify(self) -> PackageReport:
        """Run the stored inputs and compare with the stored reference; VerifyFailure if it differs.

        Reading checks every file again, so that a package changed since loading is found.
        """
        package = read_package(self.package.directory)
        results = self.run(self._stored_tensors("input", package.inputs))
        references = self._stored_tensors("output", package.outputs)
        rows = []
        for spec, result, reference, bound in zip(
            package.outputs, results, references, package.manifest["check"], strict=True
        ):
            rows.append(_compare(spec, result, reference, bound))
        report = PackageReport(tuple(rows))
        if any(row.mismatches for row in rows):
            raise VerifyFailure(f"package {package.directory} gives other results:\n{report}")
        return report

    def _stored_tensors(
        self, kind: str, signatures: Sequence[TensorSignature]
    ) -> list[torch.Tensor]:
        folder = self.package.directory / "test"
        signatures = [spec.at(self.package.check_sizes) for spec in signatures]
        return [_read_tensor(folder / f"{kind}_{n}.bin", spec) for n, spec in enumerate(signatures)]

    def _paired(self, values: Sequence[Any]) -> list[tuple[Any, TensorSignature]]:
        expected = self.package.inputs
        if len(values) != len(expected):
            raise InvalidInputError(
                f"{self.package.name}: expected {len(expected)} inputs, found {len(values)}"
            )
        return list(zip(values, expected, strict=True))

    def _function(self, name: str, result: Any) -> Any:
        function = getattr(self._library, name)
        function.restype = result
        return function

    def _set_threads(self, threads: int) -> None:
        # Absent where the compiler has no OpenMP; then there is one thread anyway.
        setter = getattr(self._library, "omp_set_num_threads", None)
        if setter is not None:
            setter(threads)

    def _check(self, code: int) -> None:
        if code == 0:
            return
        message = self._function(f"{self.package.name}_error", ctypes.c_char_p)(code).decode()
        raise PackageError(f"package {self.package.directory}: {message}")


def load_package(directory: str | Path, threads: int | None = None) -> LoadedPackage:
    """Verify, build and open the package in `directory`.

    PackageError where it is damaged or foreign, CompilerNotFoundError without a C compiler.
    """
    stored = read_package(directory)
    return LoadedPackage(stored, _build(stored, toolchain_of(stored)), threads)


def is_cuda(stored: StoredPackage) -> bool:
    """Whether the kernels of a package are CUDA files, which run here under host emulation."""
    return any(source.suffix == ".cu" for source in stored.shared_sources)


def toolchain_of(stored: StoredPackage) -> Toolchain:
    """The compiler that builds a package."""
    return toolchain_for(resolve_target(stored.target)) if is_cuda(stored) else find_toolchain()


def _build(stored: StoredPackage, toolchain: Toolchain) -> Path:
    """The shared library of a package, from the cache where it was built before."""
    program = _program_for_here(stored)
    openmp = ("-fopenmp",) if toolchain.openmp else ()
    left_out = (
        f"-D{stored.name.upper()}_WITHOUT_{macro_name(other.level)}"
        for other in stored.programs
        if other is not program
    )
    flags = (f"-std={stored.standard}", *FLAGS, *openmp, *left_out)
    if is_cuda(stored):
        flags = CUDA_FLAGS
    files = stored.manifest["files"]
    sources = {name: files[name] for name in sorted(files) if name.startswith(PARTS)}
    parts = {
        "compiler": toolchain.identity,
        "flags": " ".join((*flags, *program.arch_flags)),
        "sources": str(sources),
    }
    key = hashlib.blake2b("\0".join(parts.values()).encode(), digest_size=20).hexdigest()
    store = open_store()
    with store.lock(key):
        entry = store.find("objects", key)
        if entry is None or entry.read(LIBRARY) is None:
            content = _compile(stored, program, toolchain, flags)
            entry = store.add("objects", key, {LIBRARY: content}, {"unit": stored.name})
    return entry.path / LIBRARY


def _program_for_here(stored: StoredPackage) -> StoredProgram:
    """The first program that this CPU runs; else the last, whose check will refuse."""
    features = set(native_machine().features)
    fitting = (program for program in stored.programs if features.issuperset(program.features))
    return next(fitting, stored.programs[-1])


def _compile(
    stored: StoredPackage, program: StoredProgram, toolchain: Toolchain, flags: Sequence[str]
) -> bytes:
    try:
        folder = Path(tempfile.mkdtemp(prefix="tilecast-load-"))
        glue = folder / "tilecast_glue.c"
        glue.write_text(GLUE.format(name=stored.name), encoding="utf-8")
    except OSError as error:
        raise BuildError(f"no temporary folder to build package {stored.name}: {error}") from error
    include = (f"-I{stored.directory / part}" for part in ("include", "src", "cuda"))
    shared = (*flags, *include)
    objects = []
    for sources, extra in (
        ((*stored.shared_sources, glue), ()),
        (program.sources, program.arch_flags),
    ):
        for source in sources:
            objects.append(folder / f"{source.name}.o")
            toolchain.compile(source, objects[-1], (*shared, *extra))
    library = folder / LIBRARY
    toolchain.link(objects, library, flags)
    content = library.read_bytes()
    shutil.rmtree(folder, ignore_errors=True)  # kept where the compiler fails: the error names it
    return content


def _calling(stored: StoredPackage) -> Signature | None:
    calling = stored.manifest.get("calling")
    if not calling:
        return None
    try:
        return Signature.from_json(calling)
    except (KeyError, TypeError, ValueError) as error:
        raise PackageError(f"{stored.directory}: the calling convention is damaged") from error


def _read_tensor(file: Path, spec: TensorSignature) -> torch.Tensor:
    """The tensor that a file of raw little-endian data holds."""
    data, dtype = bytearray(file.read_bytes()), DTYPES[spec.dtype]
    flat = torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)
    return flat.reshape(spec.shape)


def _checked(value: Any, spec: TensorSignature) -> torch.Tensor:
    expected = f"{spec.dtype}[{', '.join(map(str, spec.shape))}]"
    if not isinstance(value, torch.Tensor):
        raise InvalidInputError(
            f"input {spec.name}: expected a tensor {expected}, found {type(value).__name__}"
        )
    fits = value.dim() == len(spec.shape) if has_symbols(spec.shape) else value.shape == spec.shape
    if value.dtype != DTYPES[spec.dtype] or not fits:
        found = f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
        raise InvalidInputError(f"input {spec.name}: expected {expected}, found {found}")
    if value.device.type != "cpu":
        raise InvalidInputError(f"input {spec.name}: expected a CPU tensor, found {value.device}")
    return value.detach().contiguous()


def is_at(tensor: torch.Tensor, place: torch.Tensor) -> bool:
    """Whether `tensor` is the memory of `place` and no copy."""
    return tensor.data_ptr() == place.data_ptr()


def _pointers(tensors: Sequence[torch.Tensor]) -> Any:
    return (ctypes.c_void_p * max(1, len(tensors)))(*(_address(tensor) for tensor in tensors))


def _address(tensor: torch.Tensor) -> int:
    # Tensors without elements have no storage; the interface refuses null pointers.
    return tensor.data_ptr() or ctypes.addressof(_EMPTY)


_EMPTY = ctypes.c_uint64(0)


def _compare(
    spec: TensorSignature, result: torch.Tensor, reference: torch.Tensor, bound: dict[str, float]
) -> OutputReport:
    if not result.dtype.is_floating_point:
        bad = int((result != reference).sum())
        return OutputReport(spec.name, spec.elements, bad, float(bad > 0))
    got, want = result.double(), reference.double()
    special = ~(got.isfinite() & want.isfinite())
    same = (got == want) | (got.isnan() & want.isnan())
    error = torch.where(special, torch.zeros_like(got), (got - want).abs())
    allowed = bound["absolute"] + bound["relative"] * want.abs()
    bad = int(torch.where(special, ~same, error > allowed).sum())
    return OutputReport(spec.name, spec.elements, bad, float(error.max()) if error.numel() else 0.0)
