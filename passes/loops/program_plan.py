"""Where the arrays of a program of launches live: in outputs, or at offsets of one arena."""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.ir import SSAValue

from ...dialects.graph import LaunchOp
from .allocate_arena import ArenaPlan, Lifetime, allocate_arena
from .in_place import updates_in_place
from .kernel_interface import largest_bytes
from .launched_program import LaunchedProgram, root_of

Scratch = tuple[LaunchOp, int]
"""An array that one launch alone needs, by its position among the kernel's arguments."""
SEMAPHORES = "semaphores"


@dataclass(frozen=True)
class ProgramPlan:
    """The arena of a program.

    `offsets` are those of launch results, scratch arrays, and the semaphores of all kernels, which
    are the same bytes. `output_of` has the launch results that live in an output instead; an input
    and an output that are `in_place` may be one array.
    """

    program: LaunchedProgram
    output_of: dict[SSAValue, int]
    in_place: list[tuple[int, int]]
    arena: ArenaPlan
    offsets: dict[SSAValue | Scratch | str, int]

    @staticmethod
    def of(program: LaunchedProgram) -> ProgramPlan:
        """The plan of `program`."""
        output_of = outputs_written(program)
        in_place = updates_in_place(program, output_of)
        buffers = Buffers(program, output_of)
        arena = allocate_arena(buffers.lifetimes)
        offsets = dict(zip(buffers.keys, arena.offsets, strict=True))
        return ProgramPlan(program, output_of, in_place, arena, offsets)


def outputs_written(program: LaunchedProgram) -> dict[SSAValue, int]:
    """The output that a returned launch result lives in: the first that it is returned as."""
    found: dict[SSAValue, int] = {}
    for k, value in enumerate(program.returned):
        root = root_of(value)
        if isinstance(root.owner, LaunchOp):
            found.setdefault(root, k)
    return found


@dataclass
class Buffers:
    """What has to be in the arena, and when."""

    program: LaunchedProgram
    output_of: dict[SSAValue, int]
    keys: list[SSAValue | Scratch | str] = field(default_factory=list)
    lifetimes: list[Lifetime] = field(default_factory=list)

    def __post_init__(self) -> None:
        program, last_use = self.program, {}
        for step, launch in enumerate(program.launches):
            for argument in launch.arguments:
                last_use[root_of(argument)] = step
        for step, launch in enumerate(program.launches):
            for result in launch.results_:
                if result not in self.output_of:
                    self.add(result, largest_bytes(result.type), step, last_use.get(result, step))
            for position, size in program.own_arrays(launch):
                self.add((launch, position), size, step, step)
        if size := program.semaphore_bytes:
            self.add(SEMAPHORES, size, 0, len(program.launches) - 1)

    def add(self, key: SSAValue | Scratch | str, size: int, first: int, last: int) -> None:
        """An array of `size` bytes that is in use at steps first..last."""
        self.keys.append(key)
        self.lifetimes.append(Lifetime(size, first, last))
