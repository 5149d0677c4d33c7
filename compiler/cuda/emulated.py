"""CUDA C++ run on the CPU: g++ with the emulation header, arrays checked for their bounds.

In: the text of a unit. Out: callables on numpy arrays that raise EmulationError where a kernel does
what it must not: out of bounds, not initialised, races, missing waits.
"""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...dialects.errors import BuildError, CompilerNotFoundError, TilecastError

Array = npt.NDArray[Any]
FLAGS = (
    *("-std=c++17", "-O1", "-shared", "-fPIC", "-DTILECAST_EMULATION_ENTRY"),
    *("-Wall", "-Wno-unused-function"),
)
IGNORED = ("-Wno-unknown-pragmas", "-Wno-unused-variable", "-Wno-array-bounds")


class EmulationError(TilecastError):
    """A kernel did what no kernel may; says what, which thread and which block."""


class EmulatedUnit:
    """A built unit; `run(name, ...)` calls a launcher."""

    def __init__(self, text: str) -> None:
        """Builds `text`; BuildError with the compiler's words where it is refused."""
        folder = tempfile.TemporaryDirectory(prefix="tilecast-emulation-")
        source, library = Path(folder.name, "unit.cpp"), Path(folder.name, "unit.so")
        source.write_text(text, encoding="utf-8")
        with as_file(files("tilecast.codegen.cuda").joinpath("include")) as headers:
            command = ["g++", *FLAGS, *IGNORED, f"-I{headers}"]
            try:
                done = subprocess.run(
                    [*command, str(source), "-o", str(library)], capture_output=True, text=True
                )
            except FileNotFoundError as error:
                raise CompilerNotFoundError("the emulation of CUDA needs g++ in PATH") from error
        if done.returncode:
            raise BuildError(f"g++ refused emulated CUDA:\n{done.stderr[:4000]}")
        self.warnings = done.stderr
        self._library = ctypes.CDLL(str(library))
        self._library.tc_emulation_error.restype = ctypes.c_char_p
        folder.cleanup()

    def run(self, name: str, *arguments: Array | int, resident: int = 1, seed: int = 0) -> None:
        """Call launcher `name` on contiguous arrays and sizes; arrays are changed in place.

        Up to `resident` blocks are under way at once, in an order that `seed` shuffles.
        """
        self._library.tc_emulation_reset()
        self._library.tc_emulation_blocks(ctypes.c_uint(resident), ctypes.c_uint(seed))
        passed: list[Any] = []
        for argument in arguments:
            if isinstance(argument, np.ndarray):
                if not argument.flags.c_contiguous or argument.ctypes.data % 16:
                    raise EmulationError(f"{name}: expected contiguous arrays, 16-byte aligned")
                pointer = ctypes.c_void_p(argument.ctypes.data)
                self._library.tc_emulation_array(pointer, ctypes.c_size_t(argument.nbytes))
                passed.append(pointer)
            else:
                passed.append(ctypes.c_int(int(argument)))
        status = getattr(self._library, name)(*passed, ctypes.c_void_p(None))
        if status:
            raise EmulationError(f"{name}: {self._library.tc_emulation_error().decode()}")
