"""Model files: a folder with model.json and the parts it names; data only, checked before use."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from ...dialects.errors import InvalidInputError
from ..features.program import PROGRAM_NAMES, SCHEMA

DESCRIPTION = "model.json"
LARGEST_BYTES = 64 * 2**20
LARGEST_DESCRIPTION = 2**20


def feature_digest() -> str:
    """Changes with the names of the features and their order."""
    return hashlib.blake2b("\n".join(PROGRAM_NAMES).encode(), digest_size=16).hexdigest()


def write_description(folder: Path, kind: str, **parts: bytes) -> None:
    """Write the parts (name=bytes), then model.json, which lists their digests, last of all."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for name, data in parts.items():
        write_whole(folder / name, data)
        files[name] = {"bytes": len(data), "blake2b": digest(data)}
    described = {
        "schema": SCHEMA,
        "features": feature_digest(),
        "kind": kind,
        "parts": files,
    }
    write_whole(folder / DESCRIPTION, json.dumps(described, indent=1, sort_keys=True).encode())


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that no one ever sees a part of it."""
    staging = path.with_name(f".{path.name}.new")
    staging.write_bytes(data)
    staging.replace(path)


def read_description(folder: Path) -> tuple[str, dict[str, bytes]]:
    """(kind, bytes of each part) of a model; InvalidInputError for what is none, is of
    another schema, or is damaged."""
    path = folder / DESCRIPTION
    try:
        data = json.loads(bounded(path, LARGEST_DESCRIPTION))
        schema, features = data["schema"], data["features"]
        kind, files = data["kind"], data["parts"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InvalidInputError(
            f"{path} is no cost model: {type(error).__name__}: {error}"
        ) from error
    if schema != SCHEMA or features != feature_digest():
        raise InvalidInputError(
            f"{path} was trained on features of schema {schema!r}, this version has {SCHEMA}; "
            "train it again with `tilecast costmodel train`"
        )
    if not (isinstance(kind, str) and isinstance(files, dict)):
        raise InvalidInputError(f"{path} is no cost model: its fields have other types")
    return kind, {name: read_part(folder, name, files[name]) for name in files}


def read_part(folder: Path, name: str, described: Any) -> bytes:
    """The bytes of one part; its name is a plain word, its size and digest are as described."""
    if not (name.isidentifier() and name.isascii()):
        raise InvalidInputError(f"{folder}: {name!r} is no name of a part of a cost model")
    path = folder / name
    try:
        size = int(described["bytes"])
        if not 0 <= size <= LARGEST_BYTES:
            raise ValueError(f"{size} bytes, at most {LARGEST_BYTES} are allowed")
        data = bounded(path, size)
        if len(data) != size or digest(data) != described["blake2b"]:
            raise ValueError("its content is not what was written")
        return data
    except (OSError, ValueError, OverflowError, KeyError, TypeError) as error:
        raise InvalidInputError(f"{path} is damaged: {error}") from error


def bounded(path: Path, limit: int) -> bytes:
    """The content of a file of at most `limit` bytes; ValueError for a longer one."""
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"more than {limit} bytes")
    return data


def digest(data: bytes) -> str:
    """BLAKE2b of the bytes."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()
