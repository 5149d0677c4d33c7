"""Read a package back: manifest checked, every file verified by its sha256."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...dialects.errors import PackageError
from ...dialects.sizes import Size, Symbol
from .content import TensorSignature
from .manifest import MANIFEST, check_files, read_manifest


@dataclass(frozen=True)
class StoredProgram:
    """One program of a package: its C files, and what the CPU and the compiler must allow."""

    level: str
    features: tuple[str, ...]
    arch_flags: tuple[str, ...]
    sources: tuple[Path, ...]


@dataclass(frozen=True)
class StoredPackage:
    """A verified package on disk: what `load` needs to build and call it.

    `states` are (input, output) numbers of what the model changes from call to call, `in_place` of
    what may be one memory; `sizes` are chosen by each call, `check_sizes` are of stored inputs.
    """

    directory: Path
    name: str
    target: str
    programs: tuple[StoredProgram, ...]
    standard: str
    inputs: tuple[TensorSignature, ...]
    outputs: tuple[TensorSignature, ...]
    arena_bytes: int
    shared_sources: tuple[Path, ...]
    weights: Path | None
    states: tuple[tuple[int, int], ...]
    in_place: tuple[tuple[int, int], ...]
    sizes: tuple[Symbol, ...]
    check_sizes: dict[str, int]
    manifest: dict[str, Any]


def read_package(directory: str | Path) -> StoredPackage:
    """The package in `directory`; PackageError where it is none, damaged or of another version."""
    root = Path(directory).absolute()
    manifest = read_manifest(root)
    check_files(root, manifest)
    try:
        sources = sorted(f for f in manifest["files"] if is_source(f))
        programs = tuple(_program(root, sources, item) for item in manifest["programs"])
        owned = {source for program in programs for source in program.sources}
        weights = None if manifest["inline_weights"] else root / "weights.safetensors"
        return StoredPackage(
            directory=root,
            name=manifest["name"],
            target=manifest["target"],
            programs=programs,
            standard=manifest["standard"],
            inputs=_signatures(manifest["inputs"]),
            outputs=_signatures(manifest["outputs"]),
            arena_bytes=int(manifest["arena_bytes"]),
            shared_sources=tuple(root / file for file in sources if root / file not in owned),
            weights=weights,
            states=tuple((int(s["input"]), int(s["output"])) for s in manifest["states"]),
            in_place=tuple((int(k), int(j)) for k, j in manifest.get("in_place", ())),
            sizes=tuple(Symbol.parse(text) for text in manifest.get("sizes", ())),
            check_sizes={k: int(v) for k, v in manifest.get("check_sizes", {}).items()},
            manifest=manifest,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise PackageError(f"{root / MANIFEST}: field missing or of wrong type: {error}") from error


def _program(root: Path, files: list[str], item: dict[str, Any]) -> StoredProgram:
    """One program; PackageError for a source that is no verified file of the package."""
    sources = [str(file) for file in item["sources"]]
    if strange := sorted(set(sources) - set(files)):
        raise PackageError(f"{root / MANIFEST}: {', '.join(strange)} is not among its files")
    return StoredProgram(
        level=str(item["level"]),
        features=tuple(map(str, item["features"])),
        arch_flags=tuple(_arch_flag(flag) for flag in item["arch_flags"]),
        sources=tuple(root / file for file in sources),
    )


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
        TensorSignature(
            item["name"], item["dtype"], tuple(Size.parse(str(n)) for n in item["shape"])
        )
        for item in items
    )
