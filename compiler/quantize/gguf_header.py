"""Whether what the header of a GGUF file counts is in the file: strings, arrays, tensors.

The reader of the package `gguf` believes the counts: a damaged one keeps it busy, and filling
memory, far beyond the end of the file.
"""

from __future__ import annotations

import struct
from mmap import ACCESS_READ, mmap
from pathlib import Path

from ...dialects.errors import InvalidInputError

STRING, ARRAY = 8, 9
# Bytes of a value by its type; of strings and arrays the fewest.
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, STRING: 8, ARRAY: 12, 10: 8, 11: 8, 12: 8}
LEAST_KEY, LEAST_TENSOR = 12, 24
DEEPEST = 4  # arrays of arrays


def check_header(path: Path) -> None:
    """InvalidInputError where a count does not fit into the rest of the file."""
    if path.stat().st_size == 0:
        raise InvalidInputError(f"{path} is no GGUF file: it is empty")
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        _Header(path, data).check()


class _Header:
    """A walk over the header of one file."""

    def __init__(self, path: Path, data: mmap) -> None:
        self.path, self.data = path, data
        self.at, self.order = 0, "<"

    def check(self) -> None:
        """Magic, version, keys with values; tensors are counted."""
        if self.data[:4] != b"GGUF":
            raise InvalidInputError(f"{self.path} is no GGUF file: it does not start with GGUF")
        self.at = 4
        if self.number("I") & 0xFFFF == 0:
            self.order = ">"  # the version is small
        tensors, keys = self.number("Q"), self.number("Q")
        self.room(tensors, LEAST_TENSOR, "tensors")
        self.room(keys, LEAST_KEY, "keys")
        for _ in range(keys):
            self.skip(self.number("Q"), 1, "bytes of a key")
            self.value(self.number("I"), 0)

    def value(self, kind: int, depth: int) -> None:
        """Skip a value of this type."""
        if kind not in SIZES:
            raise self.damaged(f"no type of values has the number {kind}")
        if kind == STRING:
            self.skip(self.number("Q"), 1, "bytes of a string")
        elif kind != ARRAY:
            self.skip(1, SIZES[kind], "value")
        elif depth == DEEPEST:
            raise self.damaged(f"arrays are nested more than {DEEPEST} times")
        else:
            inner, count = self.number("I"), self.number("Q")
            if inner in (STRING, ARRAY):
                self.room(count, SIZES[inner], "elements of an array")
                for _ in range(count):
                    self.value(inner, depth + 1)
            else:
                self.skip(count, SIZES.get(inner, 1), "elements of an array")

    def number(self, code: str) -> int:
        """The next number."""
        size = struct.calcsize(code)
        self.room(1, size, "number")
        found: int = struct.unpack_from(self.order + code, self.data, self.at)[0]
        self.at += size
        return found

    def skip(self, count: int, size: int, what: str) -> None:
        """Go on after `count` things of `size` bytes."""
        self.room(count, size, what)
        self.at += count * size

    def room(self, count: int, size: int, what: str) -> None:
        """InvalidInputError where the rest of the file is too short."""
        left = len(self.data) - self.at
        if count * size > left:
            raise self.damaged(f"expected {count} {what}, found {left} bytes to the end")

    def damaged(self, reason: str) -> InvalidInputError:
        """The error, with the place."""
        return InvalidInputError(
            f"{self.path} is no GGUF file, or is damaged: at byte {self.at}: {reason}"
        )
