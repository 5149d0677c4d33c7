"""The content-addressed cache: verified entries, written aside and renamed, in a private folder.

An entry is a folder `<kind>/<key>` with its files and an `entry.json` that lists their digests and
the parts its key was made of (so that a miss can be explained).
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from filelock import FileLock
from platformdirs import user_cache_path

from ...codegen.replace_folder import remove_left_behind, replace_folder
from ...dialects.errors import CacheError
from ..logging import log, warn
from ..options import environment

SCHEMA = 1
KINDS = ("models", "kernels", "objects", "machines")
ALIGNMENT = 64


@dataclass(frozen=True)
class Entry:
    """A stored result whose description is intact; its files are verified when they are read."""

    store: Store
    kind: str
    key: str
    path: Path
    parts: Mapping[str, str]
    files: Mapping[str, Mapping[str, Any]]

    def read(self, name: str) -> bytes | None:
        """The content of a file; None, and the entry is gone, where it is damaged."""
        content = self.read_aligned(name)
        return None if content is None else content.tobytes()

    def read_aligned(self, name: str) -> npt.NDArray[np.uint8] | None:
        """As `read`, in a 64-byte aligned array that vector code can use as it is."""
        content = aligned_bytes(int(self.files[name]["bytes"]))
        try:
            with (self.path / name).open("rb") as file:
                count = file.readinto(content.data)
                complete = count == content.size and not file.read(1)
        except OSError:
            complete = False
        if complete and digest(content) == self.files[name]["blake2b"]:
            return content
        self.store.drop_damaged(self)
        return None

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(int(file["bytes"]) for file in self.files.values())


@dataclass(frozen=True)
class Store:
    """A cache folder that this process can write."""

    root: Path

    def find(self, kind: str, key: str) -> Entry | None:
        """The entry; None where there is none, or its description is damaged (it is removed)."""
        path = self.root / kind / key
        try:
            data = json.loads((path / "entry.json").read_text(encoding="utf-8"))
            content = {name: data[name] for name in ("schema", "parts", "files")}
            entry = Entry(self, kind, key, path, data["parts"], data["files"])
            intact = data["digest"] == digest(canonical(content)) and data["schema"] == SCHEMA
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            entry, intact = Entry(self, kind, key, path, {}, {}), False
        if intact:
            return entry
        self.drop_damaged(entry)
        return None

    def add(
        self, kind: str, key: str, files: Mapping[str, bytes], parts: Mapping[str, str]
    ) -> Entry:
        """Store `files` under `key`; an entry that is there already is replaced."""
        described = {
            name: {"bytes": len(content), "blake2b": digest(content)}
            for name, content in sorted(files.items())
        }
        data: dict[str, Any] = {"schema": SCHEMA, "parts": dict(parts), "files": described}
        data["digest"] = digest(canonical(data))
        path = self.root / kind / key
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            remove_left_behind(path.parent, ".")
            staging = Path(tempfile.mkdtemp(prefix=f".{key[:8]}-", dir=path.parent))
        except OSError as error:
            raise CacheError(f"cannot write the cache in {path.parent}: {error}") from error
        try:
            for name, content in files.items():
                (staging / name).write_bytes(content)
            (staging / "entry.json").write_text(json.dumps(data, indent=1), encoding="utf-8")
            replace_folder(path, staging)
        except OSError as error:
            raise CacheError(f"cannot write cache entry {path}: {error}") from error
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        return Entry(self, kind, key, path, dict(parts), described)

    @contextlib.contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Keep other processes from building `key` at the same time."""
        folder = self.root / "locks"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(folder / f"{key}.lock"):
            yield

    @contextlib.contextmanager
    def scratch_file(self, content: bytes) -> Iterator[Path]:
        """`content` in a file of its own for the time of the block."""
        remove_left_behind(self.root, ".scratch-")
        with tempfile.TemporaryDirectory(prefix=".scratch-", dir=self.root) as folder:
            path = Path(folder) / "content"
            path.write_bytes(content)
            yield path

    def drop_damaged(self, entry: Entry) -> None:
        """Remove an entry whose bytes are not those that were written."""
        warn(f"cache entry {entry.kind}/{entry.key} is damaged; it is removed and built again")
        shutil.rmtree(entry.path, ignore_errors=True)

    def entries(self, kind: str = "models") -> list[Entry]:
        """Every intact entry of a kind, by key."""
        folder = self.root / kind
        names = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
        found = (self.find(kind, name) for name in names if not name.startswith("."))
        return [entry for entry in found if entry is not None]

    def clear(self) -> int:
        """Remove every entry; the number of bytes that were freed."""
        freed = sum(entry.bytes for kind in KINDS for entry in self.entries(kind))
        for kind in (*KINDS, "locks"):
            shutil.rmtree(self.root / kind, ignore_errors=True)
        return freed

    def explain(self, parts: Mapping[str, str]) -> list[str]:
        """Why nothing is stored for `parts`: what differs from the closest entry, one line each."""
        entries = self.entries()
        if not entries:
            return ["the cache holds no model"]
        nearest = max(
            entries, key=lambda e: (sum(e.parts.get(k) == v for k, v in parts.items()), e.key)
        )
        names = sorted({*parts, *nearest.parts})
        differing = [n for n in names if parts.get(n) != nearest.parts.get(n)]
        if not differing:
            return [f"entry {nearest.key} has the same key: it is a hit"]
        return [
            f"{name}: {nearest.parts.get(name, 'absent')} in entry {nearest.key[:12]}, "
            f"now {parts.get(name, 'absent')}"
            for name in differing
        ]


def cache_directory() -> Path:
    """TILECAST_CACHE_DIR, else the user's cache folder for tilecast."""
    chosen = environment("TILECAST_CACHE_DIR")
    return Path(chosen).expanduser().absolute() if chosen else user_cache_path("tilecast")


def open_store(enabled: bool = True) -> Store:
    """The cache, or a temporary folder where it is off or cannot be used (with one warning)."""
    if not enabled:
        return Store(temporary_root())
    root = cache_directory()
    problem = problem_of(root)
    if problem is None:
        return Store(root)
    warn_once(f"{problem}; using a temporary folder. Set TILECAST_CACHE_DIR to one you can write")
    return Store(temporary_root())


def add_or_keep_aside(
    store: Store,
    key: str,
    files: Mapping[str, bytes],
    parts: Mapping[str, str],
    kind: str = "models",
) -> Entry:
    """Store what was built; a cache that fills up costs a warning and not the model."""
    try:
        return store.add(kind, key, files, parts)
    except CacheError as error:
        warn(f"{error}; the {kind.removesuffix('s')} is not cached")
        return open_store(enabled=False).add(kind, key, files, parts)


def problem_of(root: Path) -> str | None:
    """Why `root` cannot be the cache; None where it can. Creates it if it is not there."""
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = root.stat()
        if hasattr(os, "getuid") and status.st_uid != os.getuid():
            return f"cache folder {root} belongs to another user"
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return f"cache folder {root} can be written by other users"
        with tempfile.TemporaryFile(dir=root):
            return None
    except OSError as error:
        return f"cache folder {root} cannot be written: {error.strerror or error}"


@cache
def warn_once(message: str) -> None:
    """Warn, but only the first time for a message."""
    warn(message)


@cache
def temporary_root() -> Path:
    """A folder for this process alone, removed when it ends."""
    root = Path(tempfile.mkdtemp(prefix="tilecast-cache-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    log(f"using the temporary cache {root}")
    return root


def digest(content: bytes | npt.NDArray[np.uint8]) -> str:
    """BLAKE2b of the bytes."""
    view = content if isinstance(content, bytes) else content.data
    return hashlib.blake2b(view, digest_size=20).hexdigest()


def canonical(data: Mapping[str, Any]) -> bytes:
    """One spelling of JSON data."""
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()


def aligned_bytes(count: int) -> npt.NDArray[np.uint8]:
    """`count` bytes that start at a multiple of 64."""
    whole = np.empty(count + ALIGNMENT, np.uint8)
    start = -whole.ctypes.data % ALIGNMENT
    return whole[start : start + count]
