"""What each launch of a kernel has to do, by the name of its `__global__` function.

In: the function of a kernel at the level of loops. Out: a `GpuWork` per launch.
"""

from __future__ import annotations

from math import prod

from xdsl.dialects.builtin import MemRefType
from xdsl.dialects.func import FuncOp

from ...codegen.cuda.launches import TileLaunch, launches_of
from ...costmodel.features.gpu_work import GpuWork, work_of
from ...dialects.tile.types import bits_of


def launch_works(func: FuncOp) -> list[tuple[str, GpuWork]]:
    """(name of the `__global__` function without prefix, work) of each launch of a kernel."""
    copy = func.clone()
    found: list[tuple[str, GpuWork]] = []
    for launch in launches_of(copy):
        types = [copy.body.block.args[k].type for k in launch.arguments]
        sizes = [
            prod(t.get_shape()) * bits_of(t.element_type) / 8
            for t in types
            if isinstance(t, MemRefType)
        ]
        if isinstance(launch, TileLaunch):
            program = launch.program
            grid = program.grid.data.eval([], [])
            work = work_of(program, sizes, prod(grid), program.threads.data)
            found.append((f"{program.sym_name.data}_kernel", work))
        else:
            work = work_of(launch.func, sizes, prod(launch.grid), prod(launch.block))
            found.append((launch.func.sym_name.data, work))
    return found
