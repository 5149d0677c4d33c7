"""Verified pairs on disk: a line of JSON per kernel, its files, a check that needs no tilecast.

DIR/pairs.jsonl  DIR/check.py  DIR/include/  DIR/kernels/NAME/{NAME.c,NAME.omp.c,NAME.cu,...}
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from xdsl.dialects.func import FuncOp

from ...codegen.replace_folder import replace_folder
from ...dialects.errors import PackageError
from ..verify.compare import allowed_error
from ..verify.kernels import Array, Evaluation
from ..verify.reduction_length import reduction_length
from .members import Member, device_files

RECORDS = "pairs.jsonl"


@dataclass(frozen=True)
class Provenance:
    """Where a data set comes from: the model as it was named, its licence, the seed of arguments,
    the compilers that built the members for verification."""

    model: str
    license: str
    seed: int
    compilers: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "generator": f"tilecast {version('tilecast')}",
            "model": self.model,
            "seed": self.seed,
            "verified_with": list(self.compilers),
            "cuda_verified_by": "emulation on the CPU",
        }


@dataclass(frozen=True)
class Pair:
    """A kernel at the linalg level, what it means for some arguments, and its members."""

    kernel: FuncOp
    calls: int
    evaluation: Evaluation
    members: tuple[Member, ...]

    @property
    def name(self) -> str:
        """The name of the function in every language."""
        return self.kernel.sym_name.data


def write_dataset(pairs: Sequence[Pair], provenance: Provenance, folder: Path) -> None:
    """Write everything or nothing; PackageError where the folder cannot be written."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".tilecast-", dir=folder.parent) as name:
            staging = Path(name, "pairs")
            staging.mkdir()
            include = staging / "include"
            include.mkdir()
            for file, text in device_files().items():
                (include / file).write_text(text, encoding="utf-8")
            script = files("tilecast.compiler.pairs").joinpath("check.py.txt")
            (staging / "check.py").write_text(script.read_text("utf-8"), encoding="utf-8")
            with (staging / RECORDS).open("w", encoding="utf-8") as lines:
                for pair in pairs:
                    write_files(pair, staging / "kernels" / pair.name)
                    lines.write(json.dumps(record(pair, provenance)) + "\n")
            replace_folder(folder, staging)
            if staging.exists():
                shutil.rmtree(staging)
    except OSError as error:
        raise PackageError(f"cannot write {folder}: {error.strerror or error}") from error


def write_files(pair: Pair, folder: Path) -> None:
    """The sources of a kernel, its IR, its arguments and what they have to give."""
    folder.mkdir(parents=True)
    for member in pair.members:
        path = folder / f"{pair.name}{member.language.suffix}"
        path.write_text(member.text, encoding="utf-8")
    (folder / f"{pair.name}.mlir").write_text(f"{pair.kernel}\n", encoding="utf-8")
    arrays = {f"in{k}": stored(array) for k, array in enumerate(pair.evaluation.inputs)}
    arrays |= {f"out{k}": wide(array) for k, array in enumerate(pair.evaluation.references)}
    np.savez_compressed(folder / "arrays.npz", **arrays)  # type: ignore[arg-type]


def stored(array: Array) -> Array:
    """bfloat16, which only ml_dtypes knows, as its bits."""
    return array.view(np.uint16) if array.dtype.name == "bfloat16" else array


def wide(array: Array) -> Array:
    """A reference, whose floats are float64."""
    return array.astype(np.float64) if array.dtype.name == "bfloat16" else array


def record(pair: Pair, provenance: Provenance) -> dict[str, Any]:
    """The line of a kernel."""
    place = f"kernels/{pair.name}"
    return {
        "id": f"{provenance.model}#{pair.name}",
        "function": pair.name,
        "calls": pair.calls,
        "arguments": list(arguments(pair)),
        "arrays": f"{place}/arrays.npz",
        "linalg": f"{place}/{pair.name}.mlir",
        "members": {
            member.language.name: {
                "file": f"{place}/{pair.name}{member.language.suffix}",
                "target": member.language.target,
                "flags": member.language.flags,
                "parallel": member.is_parallel,
                "scratch": [
                    {"dtype": dtype, "shape": list(shape), "fill": fill}
                    for dtype, shape, fill in member.scratch
                ],
                "verified": [result.to_json() for result in member.results],
                "source": member.text,
            }
            for member in pair.members
        },
        "license": provenance.license,
        "provenance": provenance.to_json(),
    }


def arguments(pair: Pair) -> Iterator[dict[str, Any]]:
    """The arrays that every member takes, in order; how far results may be off."""
    for k, array in enumerate(pair.evaluation.inputs):
        yield {"name": f"in{k}", "dtype": array.dtype.name, "shape": list(array.shape)}
    length = reduction_length(pair.kernel)
    results = zip(pair.evaluation.references, pair.evaluation.natives, strict=True)
    for k, (reference, native) in enumerate(results):
        absolute = relative = 0.0
        if reference.dtype.kind == "f":
            absolute, relative = allowed_error(reference, native, length)
        yield {
            "name": f"out{k}",
            "dtype": native.dtype.name,
            "shape": list(native.shape),
            "absolute": absolute,
            "relative": relative,
        }
