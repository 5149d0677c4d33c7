"""Read a package back: manifest checked, every file verified by its sha256."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...dialects.errors import PackageError
from .content import TensorSignature
from .manifest import MANIFEST, check_files, read_manifest


@dataclass(frozen=True)
class StoredPackage:
    """A verified package on disk: what `load` needs to build and call it."""

    directory: Path
    name: str
    target: str
    arch_flags: tuple[str, ...]
    standard: str
    inputs: tuple[TensorSignature, ...]
    outputs: tuple[TensorSignature, ...]
    arena_bytes: int
    sources: tuple[Path, ...]
    weights: Path | None
    manifest: dict[str, Any]


def read_package(directory: str | Path) -> StoredPackage:
    """The package in `directory`; PackageError where it is none, damaged or of another version."""
    root = Path(directory).absolute()
    manifest = read_manifest(root)
    check_files(root, manifest)
    try:
        sources = sorted(f for f in manifest["files"] if is_source(f))
        weights = None if manifest["inline_weights"] else root / "weights.safetensors"
        return StoredPackage(
            directory=root,
            name=manifest["name"],
            target=manifest["target"]["name"],
            arch_flags=tuple(_arch_flag(flag) for flag in manifest["target"]["arch_flags"]),
            standard=manifest["standard"],
            inputs=_signatures(manifest["inputs"]),
            outputs=_signatures(manifest["outputs"]),
            arena_bytes=int(manifest["arena_bytes"]),
            sources=tuple(root / file for file in sources),
            weights=weights,
            manifest=manifest,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise PackageError(f"{root / MANIFEST}: field missing or of wrong type: {error}") from error


def is_source(file: str) -> bool:
    """Whether a file of a package is a translation unit of the model."""
    return (file.startswith("src/") and file.endswith(".c")) or (
        file.startswith("cuda/") and file.endswith(".cu")
    )


def _arch_flag(flag: str) -> str:
    """A machine flag; anything else in a manifest would reach the compiler's command line."""
    if not flag.startswith(("-m", "-f")):
        raise PackageError(f"compiler flag {flag!r} in the manifest is not a machine flag")
    return flag


def _signatures(items: list[dict[str, Any]]) -> tuple[TensorSignature, ...]:
    return tuple(
        TensorSignature(item["name"], item["dtype"], tuple(int(n) for n in item["shape"]))
        for item in items
    )
