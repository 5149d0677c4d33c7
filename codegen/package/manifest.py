"""`manifest.json`: what a package is, and the sha256 of every other file in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ...dialects.errors import PackageError
from ...dialects.sizes import Size, plain_objects
from .content import PackageContent, Program, TensorSignature
from .programs import program_sources

MANIFEST = "manifest.json"
FORMAT = "tilecast-package"
SCHEMA_VERSION = 2


def build_manifest(
    content: PackageContent, version: str, digests: Mapping[str, str]
) -> dict[str, Any]:
    """The manifest of `content`; `digests` maps each file of the package to its sha256."""
    return {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "tilecast_version": version,
        "name": content.name,
        "target": content.target,
        "standard": content.standard,
        "inputs": [_tensor(s) for s in content.inputs],
        "outputs": [_tensor(s) for s in content.outputs],
        "arena_bytes": content.arena_bytes,
        "inline_weights": content.inline_weights or not content.weights,
        "streamed_weights": content.streamed,
        "weights": [
            {"symbol": symbol, "dtype": array.dtype.name, "shape": list(array.shape)}
            for symbol, array in content.weights.items()
        ],
        "check": [
            {"absolute": output.absolute, "relative": output.relative}
            for output in content.check.outputs
        ],
        "programs": [_program(content, program) for program in content.programs],
        "calling": dict(content.calling),
        "sizes": [str(symbol) for symbol in content.sizes],
        "check_sizes": dict(content.check.sizes),
        "states": [{"input": s.input, "output": s.output} for s in content.states],
        "in_place": [list(pair) for pair in content.in_place],
        "files": dict(digests),
    }


def manifest_text(manifest: Mapping[str, Any]) -> str:
    """JSON with sorted keys; PackageError where the facts are not JSON data."""
    try:
        return json.dumps(manifest, indent=2, sort_keys=True, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise PackageError(f"the manifest must be plain JSON data: {error}") from error


def is_package(directory: Path) -> bool:
    """Whether `directory` holds a manifest of this format, of whatever version."""
    try:
        manifest = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(manifest, dict) and manifest.get("format") == FORMAT


def read_manifest(directory: Path) -> dict[str, Any]:
    """The manifest of a package, checked for format and version."""
    path = directory / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise PackageError(f"{directory} is no package: it has no {MANIFEST}") from error
    except (OSError, ValueError) as error:
        raise PackageError(f"{path} cannot be read: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise PackageError(f"{path} is not the manifest of a tilecast package")
    if manifest.get("schema_version") != SCHEMA_VERSION:
        raise PackageError(
            f"{path}: expected schema version {SCHEMA_VERSION}, "
            f"found {manifest.get('schema_version')}; save the model again with this version"
        )
    return manifest


def file_digest(path: Path) -> str:
    """sha256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_files(directory: Path, manifest: Mapping[str, Any]) -> None:
    """Every file that the manifest lists is there with its sha256; nothing else is read later."""
    files = manifest.get("files")
    if not isinstance(files, dict) or not files:
        raise PackageError(f"{directory / MANIFEST}: the list of files is missing")
    damaged = sorted(_damaged(directory, files.items()))
    if damaged:
        raise PackageError(f"package {directory} is damaged: {'; '.join(damaged)}; save it again")


def _damaged(directory: Path, files: Iterable[tuple[str, Any]]) -> Iterable[str]:
    for name, digest in files:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            yield f"{name} lies outside the package"
            continue
        path = directory / name
        if not path.is_file():
            yield f"{name} is missing"
            continue
        try:
            actual = file_digest(path)
        except OSError as error:
            yield f"{name} cannot be read ({error.strerror})"
            continue
        if actual != digest:
            yield f"{name} was changed"


def _program(content: PackageContent, program: Program) -> dict[str, Any]:
    folder = "cuda" if content.is_cuda else "src"
    return {
        "level": program.level,
        "features": list(program.features),
        "arch_flags": list(program.arch_flags),
        "arena_bytes": program.arena_bytes,
        "sources": [f"{folder}/{file}" for file in program_sources(content, program)],
        "kernels": list(program.kernels),
        "facts": dict(program.facts),
    }


def _tensor(signature: TensorSignature) -> dict[str, Any]:
    return {
        "name": signature.name,
        "dtype": signature.dtype,
        "shape": [str(n) if isinstance(n, Size) else n for n in plain_objects(signature.shape)],
    }
