"""Which outputs of a program may have the memory of an input.

before: %1 = graph.launch @update(%cache, %new) ; %2 = graph.launch @read(%1) ; return %2, %1
after:  the pair (0, 1): input 0 and output 1 may be one array, which a call then changes in place

An output is found by following updates back to an input. Each array of the chain is read by nothing
but the next update and by kernels that run before it. Arrays inside the chain live in the output.
"""

from __future__ import annotations

from xdsl.dialects.builtin import ArrayAttr, IntAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import BlockArgument, SSAValue

from ...dialects.graph import LaunchOp, is_dynamic
from .launched_program import LaunchedProgram, root_of

IN_PLACE = "tilecast.in_place"


def updates_in_place(
    program: LaunchedProgram, output_of: dict[SSAValue, int]
) -> list[tuple[int, int]]:
    """(input, output) of every such pair; `output_of` has the outputs that launch results live in,
    and gets the arrays between."""
    pairs = []
    for value, output in list(output_of.items()):
        chain = _chain(program, value)
        if chain and isinstance(chain[-1], BlockArgument):
            pairs.append((chain[-1].index, output))
            output_of |= dict.fromkeys(chain[:-1], output)
    return pairs


def _chain(program: LaunchedProgram, value: SSAValue) -> list[SSAValue]:
    """What `value` was before its updates, the latest first."""
    steps = {launch: step for step, launch in enumerate(program.launches)}
    returned = {root_of(v) for v in program.returned}
    chain: list[SSAValue] = []
    while isinstance(launch := value.owner, LaunchOp) and not is_dynamic(value.type):
        interface = program.interface_of(launch)
        if interface.in_place is None:
            break
        operand = interface.read.index(interface.in_place)
        source = root_of(launch.arguments[operand])
        readers = _readers(program, source)
        is_last = all(
            steps[reader] < steps[launch] or (reader is launch and k == operand)
            for reader, k in readers
        )
        if not is_last or source in returned:
            break
        chain.append(source)
        value = source
    return chain


def _readers(program: LaunchedProgram, root: SSAValue) -> list[tuple[LaunchOp, int]]:
    """The launches that read an array, and as which argument."""
    return [
        (launch, k)
        for launch in program.launches
        for k, argument in enumerate(launch.arguments)
        if root_of(argument) is root
    ]


def pairs_of(main: FuncOp) -> tuple[tuple[int, int], ...]:
    """The pairs of a planned program."""
    listed = main.attributes.get(IN_PLACE)
    found = []
    for pair in listed.data if isinstance(listed, ArrayAttr) else ():
        assert isinstance(pair, ArrayAttr)
        k, j = (number.data for number in pair if isinstance(number, IntAttr))
        found.append((k, j))
    return tuple(found)
