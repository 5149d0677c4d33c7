"""Write a package: all files into a temporary sibling folder, which then replaces the target."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path

from ...dialects.errors import PackageError
from ..replace_folder import remove_left_behind, replace_folder
from .content import PackageContent, check_content
from .interface import support_files
from .manifest import MANIFEST, build_manifest, is_package, manifest_text
from .weights_file import stored_bytes, weights_file_chunks

WEIGHTS = "weights.safetensors"


def write_package(directory: str | Path, content: PackageContent) -> Path:
    """Write `content` to `directory` and return its path.

    The bytes depend on `content` alone. A package that is already there is replaced; any other
    folder with something in it is refused. On failure one PackageError, and nothing is left behind.
    """
    check_content(content)
    target = Path(directory).absolute()
    _check_target(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".tilecast-{target.name}-"
        remove_left_behind(target.parent, prefix)
        staging = Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent))
    except OSError as error:
        raise PackageError(f"cannot write a package to {target}: {_reason(error)}") from error
    try:
        _write_files(staging, content)
        staging.chmod(0o777 & ~_umask())
        replace_folder(target, staging)
    except OSError as error:
        raise PackageError(f"cannot write a package to {target}: {_reason(error)}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target


def package_files(content: PackageContent, version: str) -> Iterator[tuple[str, Iterable[bytes]]]:
    """(path in the package, its bytes in pieces) of every file except the manifest."""
    texts = support_files(content, version)
    folder = "cuda" if content.is_cuda else "src"
    texts |= {f"{folder}/{file}": text for file, text in content.source_paths().items()}
    texts |= {f"ir/{file}": text for file, text in content.ir.items()}
    for path, text in sorted(texts.items()):
        yield path, [text.encode()]
    for number, array in enumerate(content.check.inputs):
        yield f"test/input_{number}.bin", [stored_bytes(array)]
    for number, output in enumerate(content.check.outputs):
        yield f"test/output_{number}.bin", [stored_bytes(output.reference)]
    for number, state in enumerate(content.states):
        yield f"state/{number}.bin", [stored_bytes(state.initial)]
    if content.weights and not content.inline_weights:
        yield WEIGHTS, weights_file_chunks(content.weights)


def tilecast_version() -> str:
    """The installed version, or 0 in a tree that is not installed."""
    try:
        return installed_version("tilecast")
    except PackageNotFoundError:
        return "0"


def _write_files(staging: Path, content: PackageContent) -> None:
    version = tilecast_version()
    digests: dict[str, str] = {}
    for path, chunks in package_files(content, version):
        file = staging / path
        file.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        with file.open("wb") as stream:
            for chunk in chunks:
                stream.write(chunk)
                digest.update(chunk)
        digests[path] = digest.hexdigest()
    text = manifest_text(build_manifest(content, version, digests))
    (staging / MANIFEST).write_text(text, encoding="utf-8")


def _check_target(target: Path) -> None:
    if not os.path.lexists(target):
        return
    if not target.is_dir() or target.is_symlink():
        raise PackageError(f"{target} exists and is not a folder; choose another path")
    if any(target.iterdir()) and not is_package(target):
        raise PackageError(
            f"{target} holds files that are no tilecast package; choose an empty or new folder"
        )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
