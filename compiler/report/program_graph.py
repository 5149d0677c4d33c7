"""The program level as a picture's data: launches, what flows between them, the arena over time.

in:  the text of the `main` function over memrefs
out: nodes and edges of the graph of launches; intervals of the arena
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from xdsl.dialects import memref
from xdsl.dialects.arith import ConstantOp
from xdsl.dialects.builtin import IntegerAttr, MemRefType, ModuleOp
from xdsl.dialects.func import CallOp, FuncOp
from xdsl.ir import Operation, SSAValue
from xdsl.parser import Parser

from ...codegen.c.c_types import BYTES, element_name
from ...passes.context import CompileContext


@dataclass(frozen=True)
class Node:
    """A launch, an input or an output; `layer` is its distance from the inputs."""

    name: str
    kind: str
    layer: int


@dataclass(frozen=True)
class Edge:
    """`bytes` of a buffer go from node `source` to node `target`."""

    source: int
    target: int
    bytes: int


@dataclass(frozen=True)
class Interval:
    """`bytes` of the arena from `offset` on hold one value from launch `first` to launch `last`."""

    offset: int
    bytes: int
    first: int
    last: int
    writer: str


@dataclass(frozen=True)
class ProgramGraph:
    """What `main` does."""

    nodes: list[Node]
    edges: list[Edge]
    intervals: list[Interval]


def program_graph(main_text: str) -> ProgramGraph:
    """The graph of a `main` function, given as text of that function alone."""
    module = Parser(CompileContext(), f"builtin.module {{\n{main_text}}}\n").parse_module()
    return _GraphBuilder(module).graph()


class _GraphBuilder:
    """Walks the launches in order; a buffer belongs to the launch that wrote it last."""

    def __init__(self, module: ModuleOp) -> None:
        (self.main,) = [op for op in module.ops if isinstance(op, FuncOp)]
        self.nodes: list[Node] = []
        self.edges: list[Edge] = []
        self.owner: dict[SSAValue, int] = {}

    def graph(self) -> ProgramGraph:
        roles = self.main.attributes["tilecast.roles"]
        kinds = [str(role.data) for role in roles]  # type: ignore[attr-defined]
        arguments = list(zip(self.main.body.block.args, kinds, strict=True))
        for argument, kind in arguments:
            if kind == "in":
                self.owner[argument] = self.add(argument.name_hint or "input", "input", 0)
        calls = [op for op in self.main.body.block.ops if isinstance(op, CallOp)]
        for call in calls:
            self.launch(call)
        for argument, kind in arguments:
            if kind == "out" and argument in self.owner:
                source = self.owner[argument]
                layer = self.nodes[source].layer + 1
                target = self.add(argument.name_hint or "output", "output", layer)
                self.edges.append(Edge(source, target, size_of(argument)))
        return ProgramGraph(self.nodes, self.edges, intervals(self.main, calls))

    def add(self, name: str, kind: str, layer: int) -> int:
        self.nodes.append(Node(name, kind, layer))
        return len(self.nodes) - 1

    def launch(self, call: CallOp) -> None:
        """One kernel: edges from what wrote its arguments; it owns what it writes.

        Which arguments it writes is not said in `main`: those that nobody has written yet, and no
        weights, are its results.
        """
        buffers = [base_of(v) for v in call.arguments if isinstance(v.type, MemRefType)]
        known = [b for b in buffers if b in self.owner]
        layer = 1 + max((self.nodes[self.owner[b]].layer for b in known), default=0)
        node = self.add(call.callee.root_reference.data, "kernel", layer)
        for buffer in dict.fromkeys(known):
            self.edges.append(Edge(self.owner[buffer], node, size_of(buffer)))
        for buffer in buffers:
            if buffer not in self.owner and not is_weight(buffer):
                self.owner[buffer] = node


def base_of(value: SSAValue) -> SSAValue:
    """The buffer behind reshapes."""
    while isinstance(value.owner, memref.ReinterpretCastOp | memref.CastOp):
        value = value.owner.source
    return value


def is_weight(value: SSAValue) -> bool:
    """Whether a buffer holds stored weights."""
    return isinstance(value.owner, memref.GetGlobalOp)


def size_of(value: SSAValue) -> int:
    """Bytes of a buffer."""
    type = value.type
    assert isinstance(type, MemRefType)
    return prod(type.get_shape()) * BYTES[element_name(type.get_element_type())]


def intervals(main: FuncOp, calls: list[CallOp]) -> list[Interval]:
    """When which bytes of the arena are in use, launches being counted from 0."""
    number = {id(call): k for k, call in enumerate(calls)}
    found = []
    for op in main.body.block.ops:
        if not isinstance(op, memref.ViewOp):
            continue
        users = sorted(number[id(use)] for use in users_of(op.result) if id(use) in number)
        if users:
            writer = calls[users[0]].callee.root_reference.data
            found.append(Interval(offset_of(op), size_of(op.result), users[0], users[-1], writer))
    return found


def users_of(value: SSAValue) -> list[Operation]:
    """Operations that read or write a buffer, itself or reshaped."""
    found: list[Operation] = []
    for use in value.uses:
        if isinstance(use.operation, memref.ReinterpretCastOp | memref.CastOp):
            found += users_of(use.operation.results[0])
        else:
            found.append(use.operation)
    return found


def offset_of(op: memref.ViewOp) -> int:
    """Where a view of the arena starts."""
    owner = op.byte_shift.owner
    assert isinstance(owner, ConstantOp)
    assert isinstance(owner.value, IntegerAttr)
    return int(owner.value.value.data)
