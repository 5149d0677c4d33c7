"""What is known of a `main` that launches kernels: their interfaces, and what is returned."""

from __future__ import annotations

from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import SSAValue

from ...dialects.errors import LoweringError
from ...dialects.graph import LaunchOp, ReshapeOp, WeightOp
from ...dialects.sizes import Symbol
from .kernel_interface import KernelInterface, bytes_of
from .program_sizes import symbols_of_program


def root_of(value: SSAValue) -> SSAValue:
    """The value whose memory `value` shares: reshapes are aliases."""
    while isinstance(value.owner, ReshapeOp):
        value = value.owner.source
    return value


def is_weight(value: SSAValue) -> bool:
    """Whether `value` is a stored array, perhaps under another shape."""
    return isinstance(root_of(value).owner, WeightOp)


class LaunchedProgram:
    """The launches of `main`, in order; LoweringError where it holds anything else.

    Where weights are `streamed`, those of a launch are copied into the arena for it.
    """

    def __init__(
        self, main: FuncOp, kernels: dict[str, KernelInterface], streamed: bool = False
    ) -> None:
        self.main, self.streamed = main, streamed
        self.ops = list(main.body.block.ops)
        self.launches = [op for op in self.ops if isinstance(op, LaunchOp)]
        self.kernels = kernels
        end = main.get_return_op()
        self.returned = list(end.arguments) if end is not None else []
        for op in self.ops:
            if not isinstance(op, WeightOp | ReshapeOp | LaunchOp | ReturnOp):
                raise LoweringError(f"main holds {op.name}, which is no kernel launch; fuse first")
        for launch in self.launches:
            self.interface_of(launch)

    def symbols(self) -> list[Symbol]:
        """The sizes that a call has to give."""
        values = [*self.main.body.block.args, *(r for op in self.ops for r in op.results)]
        asked = [n for launch in self.launches for n in self.interface_of(launch).size_values()]
        return symbols_of_program(values, asked)

    def interface_of(self, launch: LaunchOp) -> KernelInterface:
        """The kernel of a launch; LoweringError where they do not fit."""
        name = launch.kernel.root_reference.data
        interface = self.kernels.get(name)
        if interface is None:
            raise LoweringError(f"main launches {name}, which is not in the module")
        if len(interface.read) != len(launch.arguments) or len(interface.written) != len(
            launch.results_
        ):
            raise LoweringError(
                f"kernel {name} takes {len(interface.read)} and writes {len(interface.written)} "
                f"arrays, its launch has {len(launch.arguments)} and {len(launch.results_)}"
            )
        return interface

    def fetched(self, launch: LaunchOp) -> list[int]:
        """Positions of the weights that have to be copied into the arena for a launch."""
        pairs = zip(self.interface_of(launch).read, launch.arguments, strict=True)
        return [p for p, value in pairs if self.streamed and is_weight(value)]

    def own_arrays(self, launch: LaunchOp) -> list[tuple[int, int]]:
        """(position, bytes) of what only this launch needs: the kernel's buffers and, after them,
        weights that are fetched."""
        interface = self.interface_of(launch)
        buffers = [p for p in interface.scratch if p not in interface.semaphores]
        positions = (*buffers, *self.fetched(launch))
        return [(p, bytes_of(interface.type_of(p))) for p in positions]

    @property
    def semaphore_bytes(self) -> int:
        """What the kernel with most semaphores needs."""
        interfaces = [self.interface_of(launch) for launch in self.launches]
        types = [i.type_of(position) for i in interfaces for position in i.semaphores]
        return max(map(bytes_of, types), default=0)
