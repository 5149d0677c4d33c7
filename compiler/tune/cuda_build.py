"""Builds the program that times a candidate next to the default schedule of its kernel.

In: two `GpuProgram`s. Out: an executable, by nvcc, or by g++ where the emulation stands for a GPU.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
from xdsl.dialects.builtin import MemRefType

from ...codegen.c.function import argument_roles
from ...codegen.cuda.timing import FLUSH_BYTES, TimedArray, emit_timing
from ...codegen.cuda.unit import cuda_headers
from ...dialects.errors import BuildError, CompilerNotFoundError
from ...dialects.tile.types import bits_of
from ...passes.loops.kernel_interface import KernelInterface
from ...passes.loops.pack_weights import pack_array
from .gpu_programs import GpuProgram
from .task import MeasureTask

EMULATED = ("g++", "-std=c++17", "-O1", "-w", "-fno-gnu-unique", "-ffp-contract=off", "-x", "c++")
NVCC = ("nvcc", "-std=c++17", "-O3", "-fmad=false", "-x", "cu")
BUILD_SECONDS = 120.0
SMALL_FLUSH = 1 << 16  # under emulation there are no caches to flush


@dataclass(frozen=True)
class CudaBuilder:
    """Builds in `folder`; `emulate` takes g++."""

    task: MeasureTask
    folder: Path
    emulate: bool

    def prepare(self) -> None:
        """Write the headers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, text in cuda_headers().items():
            (self.folder / name).write_text(text, encoding="utf-8")

    def object(self, program: GpuProgram, prefix: str) -> Path:
        """The object file of a program, its names beginning with `prefix`."""
        return self._compiled(program.cuda(prefix), prefix)

    def executable(
        self, default: tuple[GpuProgram, Path], mine: tuple[GpuProgram, Path], name: str
    ) -> Path:
        """A program that runs both in turns; their names begin with the names of their objects."""
        arrays = [
            TimedArray(self.task.initial(a).nbytes, a.role != "out", a.is_written)
            for a in self.task.arguments
        ]
        count, names, numbers = len(arrays), [], []
        for program, file in (default, mine):
            taken = list(range(count))
            for k, array in self._packed(program, file.stem):
                taken[k] = len(arrays)
                arrays.append(array)
            extra = scratch_arrays(program, count)
            taken += range(len(arrays), len(arrays) + len(extra))
            arrays += extra
            names.append(f"{file.stem}{self.task.function}")
            numbers.append(taken)
        text = emit_timing(
            (names[0], names[1]),
            (numbers[0], numbers[1]),
            arrays,
            SMALL_FLUSH if self.emulate else FLUSH_BYTES,
        )
        main = self._compiled(text, f"{name}_main")
        output = self.folder / name
        linker = ["g++"] if self.emulate else ["nvcc"]
        self._run([*linker, *map(str, (main, default[1], mine[1])), "-o", str(output)])
        return output

    def _packed(self, program: GpuProgram, prefix: str) -> Iterator[tuple[int, TimedArray]]:
        """The weights that a program reads in an order of its own, in files of its own."""
        interface = KernelInterface(program.func)
        for k, pack in interface.packs.items():
            stored = np.array(self.task.initial(self.task.arguments[k]))
            packed = pack_array(stored, pack, interface.type_of(k).get_shape())
            name = f"{prefix}{k}"
            packed.tofile(self.task.folder / f"{name}.bin")
            yield k, TimedArray(packed.nbytes, True, False, source=name)

    def _compiled(self, text: str, name: str) -> Path:
        source, output = self.folder / f"{name}.cu", self.folder / f"{name}.o"
        source.write_text(text, encoding="utf-8")
        command = [*EMULATED] if self.emulate else [*NVCC, "-arch", self.task.machine.name]
        self._run([*command, f"-I{self.folder}", "-c", str(source), "-o", str(output)])
        return output

    @staticmethod
    def _run(command: Sequence[str]) -> None:
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_SECONDS)
        except FileNotFoundError as error:
            raise CompilerNotFoundError(
                f"no {command[0]} in PATH: timing CUDA kernels needs it"
            ) from error
        except subprocess.TimeoutExpired as error:
            raise BuildError(f"{command[0]} takes more than {BUILD_SECONDS:.0f} s") from error
        if done.returncode:
            raise BuildError(f"{command[0]} refused:\n{done.stderr[:2000]}")


def scratch_arrays(program: GpuProgram, arguments: int) -> list[TimedArray]:
    """The arrays that a kernel takes behind its own arguments; semaphores are 0."""
    found: list[TimedArray] = []
    roles = argument_roles(program.func)
    for argument, role in list(zip(program.func.body.block.args, roles, strict=True))[arguments:]:
        type = argument.type
        assert isinstance(type, MemRefType)
        nbytes = prod(type.get_shape()) * max(8, bits_of(type.element_type)) // 8
        found.append(TimedArray(nbytes, False, False, 0 if role == "semaphores" else 0xFF))
    return found
