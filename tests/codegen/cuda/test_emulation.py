"""The host emulation: right programs give right results, planted errors are found."""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

INCLUDE = Path(__file__).parents[3] / "codegen" / "cuda" / "include"
# An error ends the emulated device, like a real one: each program runs in a process of its own.
CHILD = """
import ctypes, json, sys, numpy as np
library = ctypes.CDLL(sys.argv[1])
library.run.restype = ctypes.c_char_p
x = np.arange(64, dtype=np.float32)
y = np.zeros(64, np.float32)
message = library.run(int(sys.argv[2]), *(ctypes.c_void_p(a.ctypes.data) for a in (x, y)))
print(json.dumps([message.decode(), y.tolist()]))
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("emulation") / "planted.so"
    source = Path(__file__).with_name("planted.cu")
    subprocess.run(
        ["g++", "-x", "c++", "-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-shared",
         "-fPIC", f"-I{INCLUDE}", str(source), "-o", str(out)],
        check=True,
    )  # fmt: skip
    return out


def run(library: Path, which: int) -> tuple[str, np.ndarray]:
    command = [sys.executable, "-c", CHILD, str(library), str(which)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    message, values = json.loads(answer.stdout)
    return message, np.array(values, np.float32)


X = np.arange(64, dtype=np.float32)


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        (0, X[::-1]),
        (4, [X[:32].sum(), X[32:].sum()]),
        (5, [X.sum()]),
        (6, X[:32].reshape(16, 2)[:, ::-1].ravel()),
    ],
    ids=["shared", "shuffles", "dynamic-and-atomics", "syncwarp"],
)
def test_right_kernels_run(library: Path, which: int, expected: object) -> None:
    message, y = run(library, which)
    assert message == ""
    np.testing.assert_array_equal(y[: len(expected)], expected)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("which", "fragment"),
    [
        (1, "read before it is written"),
        (2, "write out of bounds"),
        (3, "read before it is written"),
        (7, "read before it is written"),
        (8, "deadlock"),
        (9, "is not possible"),
    ],
    ids=["no-barrier", "out-of-bounds", "uninitialised", "no-syncwarp", "lost-lane", "too-wide"],
)
def test_planted_errors_are_found(library: Path, which: int, fragment: str) -> None:
    assert fragment in run(library, which)[0]


def test_ctypes_loads_two_copies(library: Path, tmp_path: Path) -> None:
    """State of the device belongs to one library, not to the process."""
    copy = tmp_path / "copy.so"
    copy.write_bytes(library.read_bytes())
    y = np.zeros(64, np.float32)
    for path in (library, copy):
        loaded = ctypes.CDLL(str(path))
        loaded.run.restype = ctypes.c_char_p
        pointers = (ctypes.c_void_p(a.ctypes.data) for a in (X, y))
        assert loaded.run(0, *pointers) == b""
