"""Where a rotation of values can be taken back: spaces of an exported program.

in:  a program, and the value that a linear layer reads
out: a Space: what writes the rotated values, what reads them, which gains lie between

A rotation of the last dim, block by block, goes through sums, reshapes that keep blocks whole,
factors per row, norms (their gain moved into the layers that read them), values of attention. All
values that it reaches have to be rotated: by the parameters of what makes them, and back by the
weights of what reads them. The space ends at linear layers and embeddings; anything else that is
reached makes it impossible, and is the reason that is given.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from torch.fx import Node

from ..frontend.location import module_path
from .folding import LINEAR, arguments, extent, is_own_vector, linear_readers

SUMS = ("aten.add.Tensor", "aten.sub.Tensor")
PRODUCTS = ("aten.mul.Tensor", "aten.div.Tensor")
NORMS = {"aten.layer_norm.default": (2, 3), "aten.rms_norm.default": (2,)}
ELEMENTWISE = (
    "aten.to.dtype",
    "aten.to.dtype_layout",
    "aten.dropout.default",
    "aten.contiguous.default",
    "aten.clone.default",
    "aten.alias.default",
    "aten.neg.default",
)
RESHAPES = ("aten.view.default", "aten.reshape.default", "aten.flatten.using_ints")
# The position of the dim that an operator works on, which must not be the last
ON_DIM = {
    "aten.slice.Tensor": 1,
    "aten.select.int": 1,
    "aten.unbind.int": 1,
    "aten.split.Tensor": 2,
    "aten.split_with_sizes.default": 2,
    "aten.chunk.default": 2,
    "aten.cat.default": 1,
    "aten.unsqueeze.default": 1,
}
SPLITS = ("aten.split.Tensor", "aten.split_with_sizes.default", "aten.chunk.default")
SQUARES = ("aten.pow.Tensor_Scalar", "aten.square.default")


class NotRotatableError(Exception):
    """Why the values of a space cannot be rotated."""


@dataclass(frozen=True)
class Writer:
    """A linear layer or a table of rows that makes rotated values; of a layer, some columns."""

    node: Node
    start: int = 0
    stop: int | None = None


@dataclass(frozen=True)
class Gain:
    """Factors and summands per column that move into the linear layers which alone read them."""

    factor: Node | None
    summand: Node | None
    readers: tuple[Node, ...]


@dataclass
class Space:
    """Values that are rotated in blocks of `size`, by node, and what they begin and end at."""

    size: int
    values: dict[Node, None] = field(default_factory=dict)
    writers: dict[Writer, None] = field(default_factory=dict)
    readers: dict[Node, None] = field(default_factory=dict)
    gains: dict[Node, Gain] = field(default_factory=dict)


def space_of(start: Node, parameters: Mapping[str, str]) -> Space:
    """All values that have to be rotated with `start`; NotRotatableError where one cannot be.

    `parameters` are the names of parameters by placeholder.
    """
    finder = _Finder(parameters, Space(_width(start)))
    finder.reach(start)
    while finder.pending:
        value = finder.pending.pop()
        finder.cross(value, value)
        for user in value.users:
            finder.cross(user, value)
    if finder.space.size < 2:
        raise NotRotatableError("its values share no blocks of columns")
    return finder.space


class _Finder:
    """Goes from a value through the operators that make and read it."""

    def __init__(self, parameters: Mapping[str, str], space: Space) -> None:
        self.parameters, self.space = parameters, space
        self.pending: list[Node] = []

    def reach(self, value: Any) -> None:
        """`value` has to be rotated too."""
        if not isinstance(value, Node):
            raise NotRotatableError(f"the constant {value} meets its values")
        if value not in self.space.values:
            self.space.values[value] = None
            self.pending.append(value)
            if not isinstance(value.meta["val"], list | tuple):
                self.space.size = math.gcd(self.space.size, _width(value))

    def cross(self, op: Node, value: Node) -> None:
        """What follows for the other values of `op` from `value`, one of them, being rotated."""
        name = str(op.target)
        if op.op == "placeholder":
            self.write(op, op)
        elif name == LINEAR:
            self.cross_linear(op, value)
        elif name == "aten.embedding.default":
            self.only(op is value, op)
            self.write(op, arguments(op)[0])
        elif name in NORMS:
            self.cross_norm(op, name)
        elif name in SQUARES or (name in PRODUCTS and arguments(op)[0] is arguments(op)[1]):
            self.only(op is not value and name != "aten.div.Tensor", op)
            self.check_mean_square(op)
        elif name in PRODUCTS:
            self.cross_product(op)
        elif name == "aten.scaled_dot_product_attention.default":
            self.cross_attention(op, value)
        elif name == "aten.matmul.default":
            self.only(value is not arguments(op)[0], op)
            self.both(arguments(op)[1], op)
        else:
            for one in self.passed(op, name):
                self.reach(one)

    def passed(self, op: Node, name: str) -> list[Any]:
        """The values that an operator which only moves or adds numbers ties to each other."""
        source: Any = arguments(op)[0] if arguments(op) else None
        if name in SUMS:
            self.only(extent(op) == _extent(arguments(op)[0]) == _extent(arguments(op)[1]), op)
            return [*arguments(op)[:2], op]
        if name in ELEMENTWISE or op.target is operator.getitem:
            if name not in ELEMENTWISE and str(source.target) in SPLITS and self.is_last(source):
                self.write_part(op, source)
                return [op]
            return [source, op]
        if name in RESHAPES:
            return [source, op]
        if name in ON_DIM:
            self.only(not self.is_last(op), op)
            return [*(source if name == "aten.cat.default" else [source]), op]
        if name == "aten.transpose.int":
            rank = _rank(op)
            self.only(rank - 1 not in (arguments(op)[1] % rank, arguments(op)[2] % rank), op)
            return [source, op]
        if name == "aten.permute.default":
            self.only(arguments(op)[1][-1] % _rank(op) == _rank(op) - 1, op)
            return [source, op]
        if name == "aten.expand.default":
            self.only(extent(op) == extent(source), op)
            return [source, op]
        self.refuse(op)

    def cross_linear(self, op: Node, value: Node) -> None:
        """A layer writes rotated results, or reads rotated values, or both."""
        self.only(value in (op, arguments(op)[0]), op)
        if value is op:
            self.write(op, arguments(op)[1])
        elif not self.is_own(arguments(op)[1]):
            raise NotRotatableError(f"the weight of {place(op)} is shared")
        else:
            self.space.readers[op] = None

    def cross_norm(self, op: Node, name: str) -> None:
        """A norm of rows keeps rotations, once its gain is in the layers that read it."""
        self.only(len(arguments(op)[1]) == 1, op)
        vectors = [arguments(op)[k] if k < len(arguments(op)) else None for k in (2, 3)]
        if name == "aten.rms_norm.default":
            vectors[1] = None
        if any(v is not None for v in vectors):
            self.gain(op, vectors[0], vectors[1])
        self.both(arguments(op)[0], op)

    def cross_product(self, op: Node) -> None:
        """A factor per row keeps rotations; one per column is a gain."""
        sides = arguments(op)[:2]
        for one, other in (sides, sides[::-1]):
            is_per_row = not isinstance(other, Node) or extent(other) in (None, 1)
            if isinstance(one, Node) and is_per_row and extent(one) == extent(op):
                self.only(one is sides[0] or str(op.target) == "aten.mul.Tensor", op)
                self.both(one, op)
                return
            if is_own_vector(other, self.parameters) and str(op.target) == "aten.mul.Tensor":
                self.gain(op, other, None)
                self.both(one, op)
                return
        self.refuse(op)

    def cross_attention(self, op: Node, value: Node) -> None:
        """Results are sums of values; scores stay where queries and keys are rotated alike."""
        if value in arguments(op)[:2]:
            self.reach(arguments(op)[0])
            self.reach(arguments(op)[1])
        if value is arguments(op)[2] or value is op:
            self.both(arguments(op)[2], op)
        self.only(value is op or value in arguments(op)[:3], op)

    def check_mean_square(self, op: Node) -> None:
        """The mean of squares over a row stays as it is."""
        self.only(str(op.target) not in SQUARES[:1] or arguments(op)[1] == 2, op)
        for user in op.users:
            is_mean = str(user.target) in ("aten.mean.dim", "aten.sum.dim_IntList")
            dims: Any = arguments(user)[1] if is_mean else []
            self.only([d % _rank(op) for d in dims] == [_rank(op) - 1], user)

    def gain(self, op: Node, factor: Node | None, summand: Node | None) -> None:
        """The factors and summands of `op` move into what reads it."""
        for vector in (factor, summand):
            self.only(vector is None or is_own_vector(vector, self.parameters), op)
        readers = linear_readers(op, self.parameters)
        if not readers:
            raise NotRotatableError(f"more than linear layers reads the scaled {place(op)}")
        for reader in readers:
            if summand is not None and not self.has_own_bias(reader):
                raise NotRotatableError(f"{place(reader)} has no bias to take that of {place(op)}")
        self.space.gains[op] = Gain(factor, summand, tuple(readers))

    def write(self, op: Node, table: Any) -> None:
        """A layer's or table's parameters make rotated values."""
        if not self.is_own(table):
            raise NotRotatableError(
                f"{place(op)} has no parameter of its own that makes its values"
            )
        if str(op.target) == LINEAR and len(arguments(op)) > 2 and arguments(op)[2] is not None:
            self.only(self.has_own_bias(op), op)
        self.space.writers[Writer(op)] = None

    def write_part(self, op: Node, split: Any) -> None:
        """`op` is one part of the columns of a linear layer that nothing reads but by its parts."""
        layer = arguments(split)[0]
        self.only(str(layer.target) == LINEAR and list(layer.users) == [split], op)
        self.write(layer, arguments(layer)[1])
        del self.space.writers[Writer(layer)]
        widths = [part.shape[-1] for part in split.meta["val"]]
        start = sum(widths[: arguments(op)[1]])
        self.space.size = math.gcd(self.space.size, start)
        self.space.writers[Writer(layer, start, start + widths[arguments(op)[1]])] = None

    def both(self, source: Any, op: Node) -> None:
        """Operand and result are rotated."""
        self.reach(source)
        self.reach(op)

    def is_own(self, table: Any) -> bool:
        """Whether `table` is a parameter that nothing else uses."""
        return isinstance(table, Node) and table.name in self.parameters and len(table.users) == 1

    def has_own_bias(self, layer: Node) -> bool:
        """Whether a linear layer has a bias that nothing else uses."""
        return len(arguments(layer)) > 2 and is_own_vector(arguments(layer)[2], self.parameters)

    def is_last(self, op: Any) -> bool:
        """Whether an operator of ON_DIM works on the last dim."""
        position = ON_DIM[str(op.target)]
        dim = arguments(op)[position] if position < len(arguments(op)) else op.kwargs.get("dim", 0)
        if str(op.target) == "aten.unsqueeze.default":
            return bool(dim % _rank(op) == _rank(op) - 1)
        source = arguments(op)[0][0] if str(op.target) == "aten.cat.default" else arguments(op)[0]
        return bool(dim % _rank(source) == _rank(source) - 1)

    def only(self, condition: bool, op: Node) -> None:
        """Refuse unless `condition` holds."""
        if not condition:
            self.refuse(op)

    def refuse(self, op: Node) -> NoReturn:
        """Say that a rotation does not go through `op`."""
        raise NotRotatableError(f"{place(op)}: a rotation does not go through {op.target}")


def place(op: Node) -> str:
    """The layer that an operator belongs to."""
    if op.op == "placeholder":
        return op.name
    return module_path(op) or op.name


def _width(value: Node) -> int:
    """The last extent, which has to be a number."""
    width = extent(value)
    if not isinstance(width, int):
        raise NotRotatableError(f"{place(value)} has no last extent that is known")
    return width


def _extent(value: Any) -> Any:
    return extent(value) if isinstance(value, Node) else None


def _rank(value: Node) -> int:
    return len(value.meta["val"].shape)
