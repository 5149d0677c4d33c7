"""The result of one compilation as plain data: what is called, cached, saved and verified."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch.utils._pytree import TreeSpec

from ...costmodel.hardware import Machine
from ..verify.report import VerifyReport
from .cache import ALIGNMENT, Entry, aligned_bytes
from .signature import Signature, TensorSpec, tensor_from_json

Array = npt.NDArray[np.generic]
LIBRARY = "library.so"
WEIGHTS = "weights.bin"
DESCRIPTION = "artifact.json"


@dataclass(frozen=True)
class KernelFacts:
    """One kernel of the program and how often it runs."""

    name: str
    calls: int
    arguments: tuple[str, ...]
    roles: tuple[str, ...]


@dataclass(frozen=True)
class Artifact:
    """A compiled model.

    `weights` are packed and in the order of the program's weight argument; `sources` maps file
    names to C text; `ir` maps stage file names ("00-import.mlir") to text; `arena_lower_bound` is
    the peak of live intermediate bytes, which no memory plan can go below; `reduction_length` the
    longest sum in any kernel, which decides how far results may be off; `seconds` the time of the
    compilation by stage and path within it; `is_stored` is set where it comes from the cache;
    `memory` what a budget made of the program. A `streamed` one copies weights into its arena.
    `in_place` are pairs of an input and an output that may have the same memory.
    """

    name: str
    machine: Machine
    threads: int
    signature: Signature
    arena_bytes: int
    arena_lower_bound: int
    sources: Mapping[str, str]
    weights: Mapping[str, Array]
    ir: Mapping[str, str]
    kernels: tuple[KernelFacts, ...]
    reduction_length: int
    compiler: str
    flags: tuple[str, ...]
    seconds: Mapping[str, float] = field(default_factory=dict)
    report: VerifyReport | None = None
    library: Path | None = None
    decisions: tuple[Mapping[str, Any], ...] = ()
    precision: str = "f32"
    is_stored: bool = False
    memory: Mapping[str, Any] | None = None
    streamed: bool = False
    in_place: tuple[tuple[int, int], ...] = ()

    def to_files(self, library: bytes) -> dict[str, bytes]:
        """The files of a cache entry."""
        blob, index = pack_weights(self.weights)
        description = {
            "name": self.name,
            "machine": asdict(self.machine),
            "threads": self.threads,
            "signature": self.signature.to_json(),
            "arena_bytes": self.arena_bytes,
            "arena_lower_bound": self.arena_lower_bound,
            "kernels": [asdict(kernel) for kernel in self.kernels],
            "reduction_length": self.reduction_length,
            "compiler": self.compiler,
            "flags": list(self.flags),
            "seconds": dict(self.seconds),
            "report": None if self.report is None else self.report.to_json(),
            "weights": index,
            "sources": dict(self.sources),
            "ir": dict(self.ir),
            "decisions": list(self.decisions),
            "precision": self.precision,
            "memory": None if self.memory is None else dict(self.memory),
            "streamed": self.streamed,
            "in_place": self.in_place,
        }
        return {
            LIBRARY: library,
            WEIGHTS: blob.tobytes(),
            DESCRIPTION: json.dumps(description).encode(),
        }

    @staticmethod
    def from_entry(
        entry: Entry, in_spec: TreeSpec, out_spec: TreeSpec, leaves: Sequence[Any]
    ) -> Artifact | None:
        """The artifact of a cache entry; None where a file of it is damaged.

        The pytrees and the compiled-in constants (among the flat `leaves` of the example) come
        from the program at hand: they need not be storable.
        """
        blob, text = entry.read_aligned(WEIGHTS), entry.read(DESCRIPTION)
        if blob is None or text is None or entry.read(LIBRARY) is None:
            return None
        data: dict[str, Any] = json.loads(text)
        machine = data["machine"] | {"features": tuple(data["machine"]["features"])}
        signature = Signature.from_json(data["signature"], in_spec, out_spec)
        constants = {position: leaves[position] for position in signature.constants}
        report = data["report"]
        return Artifact(
            name=data["name"],
            machine=Machine(**machine),
            threads=data["threads"],
            signature=replace(signature, constants=constants),
            arena_bytes=data["arena_bytes"],
            arena_lower_bound=data["arena_lower_bound"],
            sources=data["sources"],
            weights=unpack_weights(blob, data["weights"]),
            ir=data["ir"],
            kernels=tuple(kernel_from_json(item) for item in data["kernels"]),
            reduction_length=data["reduction_length"],
            compiler=data["compiler"],
            flags=tuple(data["flags"]),
            seconds=data["seconds"],
            report=None if report is None else VerifyReport.from_json(report),
            library=entry.path / LIBRARY,
            decisions=tuple(data["decisions"]),
            precision=data["precision"],
            is_stored=True,
            memory=data["memory"],
            streamed=data["streamed"],
            in_place=tuple((k, j) for k, j in data["in_place"]),
        )


def kernel_from_json(item: Mapping[str, Any]) -> KernelFacts:
    """KernelFacts behind one JSON item."""
    return KernelFacts(item["name"], item["calls"], tuple(item["arguments"]), tuple(item["roles"]))


def pack_weights(weights: Mapping[str, Array]) -> tuple[npt.NDArray[np.uint8], list[Any]]:
    """All arrays in one blob, each at a multiple of 64, and an index of (spec, offset)."""
    index: list[Any] = []
    size = 0
    for symbol, array in weights.items():
        spec = TensorSpec(symbol, array.dtype.name, array.shape)
        index.append([spec.to_json(), size])
        size += -(-array.nbytes // ALIGNMENT) * ALIGNMENT
    blob = aligned_bytes(size)
    blob[:] = 0
    for array, (_, offset) in zip(weights.values(), index, strict=True):
        flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        blob[offset : offset + flat.size] = flat
    return blob, index


def unpack_weights(blob: npt.NDArray[np.uint8], index: list[Any]) -> dict[str, Array]:
    """The arrays as views of the blob."""
    weights: dict[str, Array] = {}
    for item, offset in index:
        spec = tensor_from_json(item)
        flat = blob[offset : offset + spec.bytes]
        weights[spec.name] = flat.view(np.dtype(spec.dtype)).reshape(spec.shape)
    return weights
