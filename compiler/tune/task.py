"""A kernel to be measured, as a folder that worker processes read: scop, machine, arguments.

task.json   function, machine, compiler command, arguments
scop.mlir   a module with the unscheduled poly.scop
NAME.npy    what argument NAME holds before each run
NAME.expected.npy   what a writable argument must hold afterwards
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from ...costmodel.hardware import Machine
from ...dialects.errors import InvalidInputError

INTRINSICS = "intrinsics.h"
Role = Literal["in", "weight", "out", "inout"]
Origin = Literal["loops", "model"]
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Argument:
    """One array argument. A result may differ from the expected one by `bound` times the largest
    magnitude in it; integers must be equal.

    `determined` are the leading extents that are compared, where what lies beyond is noise.
    """

    name: str
    role: Role
    bound: float = 1e-9
    determined: tuple[int, ...] = ()

    def compared(self, value: Array) -> Array:
        """The part of `value` that the program determines."""
        return value[tuple(slice(0, n) for n in self.determined)]

    @property
    def is_written(self) -> bool:
        """Whether the kernel may write it."""
        return self.role in ("out", "inout")


@dataclass(frozen=True)
class MeasureTask:
    """What a worker needs to know. `compiler` is the command up to the flags, `threads` what
    OpenMP may use, `memory_bytes` the limit of each worker's address space. `origin` says whether
    schedules are those of a model's kernel (choices of the rules too, weights packed) or of loops
    that were written as such (steps)."""

    folder: Path
    function: str
    arguments: tuple[Argument, ...]
    machine: Machine
    compiler: tuple[str, ...]
    threads: int = 1
    memory_bytes: int = 8 * 2**30
    origin: Origin = "loops"

    def initial(self, argument: Argument) -> Array:
        """What `argument` holds before a run, read only."""
        return self._load(f"{argument.name}.npy")

    def expected(self, argument: Argument) -> Array:
        """What `argument` must hold after a run, read only."""
        return self._load(f"{argument.name}.expected.npy")

    def set_expected(self, values: Mapping[str, Array]) -> None:
        """Store the results that candidates are compared with."""
        for name, value in values.items():
            np.save(self.folder / f"{name}.expected.npy", value)

    @property
    def scop_text(self) -> str:
        """The module with the scop."""
        return (self.folder / "scop.mlir").read_text(encoding="utf-8")

    def _load(self, name: str) -> Array:
        loaded: Array = np.load(self.folder / name, mmap_mode="r", allow_pickle=False)
        return loaded

    @property
    def include(self) -> tuple[str, ...]:
        """Options that let every candidate start from the intrinsics, compiled once for all."""
        header = self.folder / INTRINSICS
        return ("-include", str(header)) if header.exists() else ()

    def write(self, scop_text: str, initial: Mapping[str, Array]) -> None:
        """Fill the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        missing = [a.name for a in self.arguments if a.name not in initial]
        if missing:
            raise InvalidInputError(f"no initial values for {', '.join(missing)}")
        for argument in self.arguments:
            value = np.ascontiguousarray(initial[argument.name])
            np.save(self.folder / f"{argument.name}.npy", value)
        (self.folder / "scop.mlir").write_text(scop_text, encoding="utf-8")
        self._describe()

    def compiled_with(self, command: tuple[str, ...]) -> MeasureTask:
        """The task for another machine's compiler, which workers will read about in the folder."""
        found = replace(self, compiler=command)
        found._describe()
        return found

    def _describe(self) -> None:
        content = {
            "function": self.function,
            "arguments": [asdict(a) for a in self.arguments],
            "machine": asdict(self.machine),
            "compiler": self.compiler,
            "threads": self.threads,
            "memory_bytes": self.memory_bytes,
            "origin": self.origin,
        }
        (self.folder / "task.json").write_text(json.dumps(content), encoding="utf-8")

    @staticmethod
    def read(folder: Path) -> MeasureTask:
        """The task in `folder`."""
        content = json.loads((folder / "task.json").read_text(encoding="utf-8"))
        machine = {**content["machine"], "features": tuple(content["machine"]["features"])}
        return MeasureTask(
            folder,
            content["function"],
            tuple(
                Argument(**{**a, "determined": tuple(a["determined"])})
                for a in content["arguments"]
            ),
            Machine(**machine),
            tuple(content["compiler"]),
            content["threads"],
            content["memory_bytes"],
            content["origin"],
        )


def roles_of(roles: Sequence[str]) -> tuple[Role, ...]:
    """The roles of a scop's arguments, checked."""
    known = get_args(Role)
    unknown = [r for r in roles if r not in known]
    if unknown:
        raise InvalidInputError(f"expected roles {', '.join(known)}, found {', '.join(unknown)}")
    return tuple(roles)  # type: ignore[arg-type]
