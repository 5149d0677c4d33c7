"""torch.cond, while_loop, scan and map: each becomes one op that calls its graphs as functions.

A graph sees values of its surroundings as placeholders. Stored tensors among them are read as
weights inside, so that products with them are packed as in main; all others become arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from torch.fx import Node
from xdsl.dialects.builtin import StringAttr, TensorType, f32, i1, i64
from xdsl.ir import Attribute, SSAValue

from ...dialects.graph import WeightOp, element_of, shape_of
from ...dialects.graph.control import CondOp, ControlOp, ForOp, WhileOp
from ...dialects.sizes import has_symbols
from .builder import Builder
from .rules import UnsupportedUse

Values = Sequence[Any]


class Surroundings(Protocol):
    """What importing a control flow node needs of the graph around it."""

    builder: Builder

    def translate(self, argument: Any) -> Any:
        """The values of an argument of a node."""

    def subgraph(
        self, graph: Node, values: Values, types: Sequence[Attribute | None]
    ) -> tuple[str, list[Attribute]]:
        """Import `graph` as a function: its name and result types.

        A placeholder becomes an argument of its entry in `types`, or is `values` entry for None.
        """


def argument_types(values: Values) -> list[Attribute | None]:
    """None for numbers and for stored tensors, which a graph reads by itself."""
    return [
        value.type if isinstance(value, SSAValue) and not is_stored(value) else None
        for value in values
    ]


def is_stored(value: SSAValue) -> bool:
    """Whether `value` is a weight."""
    return isinstance(value.owner, WeightOp)


def passed(values: Values) -> list[SSAValue]:
    """The values that become arguments."""
    return [v for v, type in zip(values, argument_types(values), strict=True) if type is not None]


def tensors(b: Builder, values: Values, what: str) -> list[SSAValue]:
    """`values` as tensors; truth values and numbers have rank 0, of the types that torch gives."""
    found = []
    for value in values:
        if isinstance(value, SSAValue):
            found.append(value)
        elif isinstance(value, bool | int | float) or has_symbols([value]):
            found.append(b.full(value, scalar_type(value)))
        else:
            raise UnsupportedUse(f"{what} has to be a tensor or a number; found {value!r}")
    return found


def scalar_type(value: object) -> Attribute:
    """The element type of a tensor that holds a Python number."""
    if isinstance(value, bool):
        return i1
    return f32 if isinstance(value, float) else i64


def append(b: Builder, op: ControlOp) -> list[SSAValue]:
    """Add `op`; its results."""
    if b.loc:
        op.attributes["loc"] = StringAttr(b.loc)
    b.block.add_op(op)
    return list(op.results)


def cond(around: Surroundings, node: Node) -> list[SSAValue]:
    """One of two graphs runs."""
    condition, then_graph, else_graph, operands = node.args
    b, values = around.builder, around.translate(operands)
    (holds,) = tensors(b, [around.translate(condition)], "the condition of torch.cond")
    types = argument_types(values)
    assert isinstance(then_graph, Node)
    assert isinstance(else_graph, Node)
    then_name, results = around.subgraph(then_graph, values, types)
    else_name, others = around.subgraph(else_graph, values, types)
    if results != others:
        raise UnsupportedUse(f"the branches give different types: {results} and {others}")
    holds = b.cast(b.reshape(holds, []), i1)
    return append(b, CondOp(holds, (then_name, else_name), passed(values), results))


def while_loop(around: Surroundings, node: Node) -> list[SSAValue]:
    """A graph runs again and again, while another holds for what it gives."""
    condition_graph, body_graph, carried, additional = node.args
    b, extra = around.builder, around.translate(additional)
    start = tensors(b, around.translate(carried), "what torch.while_loop carries")
    types = [*(value.type for value in start), *argument_types(extra)]
    assert isinstance(condition_graph, Node)
    assert isinstance(body_graph, Node)
    condition, found = around.subgraph(condition_graph, [*start, *extra], types)
    if found != [TensorType(i1, [])]:
        raise UnsupportedUse(f"the condition has to give one truth value, found {found}")
    body, results = around.subgraph(body_graph, [*start, *extra], types)
    if results != [value.type for value in start]:
        raise UnsupportedUse(f"the body takes {[v.type for v in start]} and gives {results}")
    return append(b, WhileOp(condition, body, start, passed(extra)))


def scan(around: Surroundings, node: Node) -> list[SSAValue]:
    """A graph runs once per slice, handing values on from one slice to the next."""
    graph, init, xs, additional = node.args
    return over_slices(around, graph, init, xs, additional)


def map_impl(around: Surroundings, node: Node) -> list[SSAValue]:
    """A graph runs once per slice."""
    graph, xs, additional = node.args
    return over_slices(around, graph, (), xs, additional)


def over_slices(
    around: Surroundings, graph: Any, init: Any, xs: Any, additional: Any
) -> list[SSAValue]:
    """A `graph.for` over slices of `xs` that starts with `init`."""
    b, extra = around.builder, around.translate(additional)
    start = tensors(b, around.translate(init), "what scan carries")
    sliced = tensors(b, around.translate(xs), "what scan and map slice")
    count = shape_of(sliced[0])[0]
    types = [*(value.type for value in start), *map(slice_type, sliced), *argument_types(extra)]
    assert isinstance(graph, Node)
    body, results = around.subgraph(graph, [*start, *sliced, *extra], types)
    if results[: len(start)] != [value.type for value in start]:
        raise UnsupportedUse(f"scan carries {[v.type for v in start]}, the graph gives {results}")
    stacked: list[Attribute] = []
    for type in results[len(start) :]:
        assert isinstance(type, TensorType)
        stacked.append(TensorType(type.element_type, [count, *type.get_shape()]))
    return append(b, ForOp(body, count, start, sliced, passed(extra), stacked))


def slice_type(value: SSAValue) -> Attribute:
    """The type of value[i]."""
    return TensorType(element_of(value), shape_of(value)[1:])


CONTROL_FLOW: dict[str, Callable[[Surroundings, Node], list[SSAValue]]] = {
    "cond": cond,
    "while_loop": while_loop,
    "scan": scan,
    "map_impl": map_impl,
}
