"""Turn a group of ops of `main` into a kernel function and a launch of it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from xdsl.builder import Builder
from xdsl.dialects.builtin import (
    AffineMapAttr,
    ArrayAttr,
    DictionaryAttr,
    FunctionType,
    ModuleOp,
    StringAttr,
    UnitAttr,
)
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.rewriter import InsertPoint

from ...dialects.graph import (
    CastOp,
    GraphOp,
    LaunchOp,
    PointwiseOp,
    ReduceOp,
    ReshapeOp,
    ViewOp,
    WeightOp,
    element_of,
    shape_of,
    tensor_of,
)
from ...dialects.graph.control import is_program
from .groups import Group
from .layout_access import splitting_map, under_reshapes

WEIGHT_ATTRIBUTE = "tilecast.weight"
LONGEST_NAME = 4


def kernel_name(group: Group, serial: int) -> str:
    """Names of the ops that do something, joined; `serial` makes it unique in the module."""
    labels: list[str] = []
    for op in group.ops:
        label = _label(op)
        if label and labels[-1:] != [label]:
            labels.append(label)
    if len(labels) > LONGEST_NAME:
        # The start says what is read and the end what comes out.
        labels = [*labels[: LONGEST_NAME - 1], labels[-1]]
    if not labels:
        labels = ["cast" if any(isinstance(op, CastOp) for op in group.ops) else "copy"]
    return "_".join([*labels, str(serial)])


def _label(op: GraphOp) -> str:
    if isinstance(op, PointwiseOp | ReduceOp):
        return op.fn.data
    kind = op.name.rpartition(".")[2]
    return "" if kind in ("cast", "view") else kind


class KernelBody:
    """Builds one kernel: clones what the group computes and reads through, collects arguments.

    `stored` are the values that some kernel writes; main is left as it is.
    """

    def __init__(self, group: Group, stored: set[SSAValue]) -> None:
        self.inside = set(group.ops)
        self.stored = stored
        self.block = Block()
        self.builder = Builder(InsertPoint.at_end(self.block))
        self.arguments: list[SSAValue] = []
        self.known: dict[SSAValue, SSAValue] = {}
        for op in group.ops:
            self.clone(op)

    def clone(self, op: Operation) -> None:
        """Append a copy of `op` that reads values of this kernel."""
        operands = [self.read(value) for value in op.operands]
        copy = op.clone(dict(zip(op.operands, operands, strict=True)))
        self.builder.insert(_as_view(copy) if isinstance(copy, ReshapeOp) else copy)
        new = self.block.last_op
        assert new is not None
        for old_result, new_result in zip(op.results, new.results, strict=True):
            new_result.name_hint = old_result.name_hint
            self.known[old_result] = new_result

    def read(self, value: SSAValue) -> SSAValue:
        """The value of this kernel that stands for `value` of main."""
        if value in self.known:
            return self.known[value]
        owner = value.owner
        if self.is_materialized(value):
            argument = self.block.insert_arg(value.type, len(self.block.args))
            argument.name_hint = _argument_hint(value)
            self.arguments.append(value)
            self.known[value] = argument
        else:
            assert isinstance(owner, Operation)
            self.clone(owner)
        return self.known[value]

    def function(self, name: str, results: Sequence[SSAValue]) -> FuncOp:
        """The finished kernel, which answers `results`."""
        self.block.add_op(ReturnOp(*(self.known[value] for value in results)))
        arguments = [argument.type for argument in self.block.args]
        return FuncOp(
            name,
            FunctionType.from_lists(arguments, [value.type for value in results]),
            Region(self.block),
            visibility="private",
            arg_attrs=ArrayAttr([_argument_attributes(value) for value in self.arguments]),
        )

    def is_materialized(self, value: SSAValue) -> bool:
        """Whether main can hand `value` over: a tensor in memory, perhaps in another shape."""
        root = under_reshapes(value)
        owner = root.owner
        if not isinstance(owner, Operation):
            return True
        if isinstance(owner, WeightOp):
            # A reshape of a weight is done inside, so that the argument is the weight itself.
            return root is value
        return owner not in self.inside and root in self.stored


def _as_view(op: ReshapeOp) -> GraphOp:
    """The reshape as an affine view if it only splits dims, which later stages read directly."""
    shape = shape_of(op.result)
    map = splitting_map(shape_of(op.source), shape)
    if map is None:
        return op
    view = ViewOp(op.source, AffineMapAttr(map), tensor_of(element_of(op.result), shape))
    view.attributes.update(op.attributes)
    op.erase()
    return view


def _argument_hint(value: SSAValue) -> str | None:
    """A readable name; of weights only the last part, which equal layers have in common."""
    owner = value.owner
    if not isinstance(owner, WeightOp):
        return value.name_hint
    last = re.split(r"\W+", owner.symbol.root_reference.data)[-1]
    return last if re.fullmatch(r"[A-Za-z_]\w*", last) else "weight"


class Outliner:
    """Replaces the groups of one main by launches, in the order given."""

    def __init__(self, module: ModuleOp, main: FuncOp) -> None:
        self.module, self.main = module, main
        functions = [op for op in module.ops if isinstance(op, FuncOp)]
        self.serial = sum(1 for func in functions if not is_program(func))
        # What stands for an old value in the new main.
        self.renamed: dict[SSAValue, SSAValue] = {}

    def outline(self, groups: Sequence[Group]) -> None:
        """Make kernels and launches for `groups`; each comes after the groups it reads."""
        block = self.main.body.block
        terminator = block.last_op
        assert isinstance(terminator, ReturnOp)
        stored: set[SSAValue] = {op.result for group in groups for op in group.owned}
        bodies = [KernelBody(group, stored) for group in groups]
        needed = {under_reshapes(v) for body in bodies for v in body.arguments}
        needed |= {under_reshapes(v) for v in terminator.arguments}
        old_ops = [op for op in block.ops if op is not terminator]
        self.builder = Builder(InsertPoint.before(terminator))
        for group, body in zip(groups, bodies, strict=True):
            self.launch(group, body, [op.result for op in group.owned if op.result in needed])
        terminator.operands = [self.value(v) for v in terminator.arguments]
        for op in reversed(old_ops):
            if not isinstance(op, WeightOp) or not op.result.uses:
                block.erase_op(op)

    def launch(self, group: Group, body: KernelBody, results: Sequence[SSAValue]) -> None:
        """Add the kernel of `group` to the module and call it."""
        name = kernel_name(group, self.serial)
        self.serial += 1
        kernel = body.function(name, results)
        self.module.body.block.insert_op_before(kernel, self.main)
        types = [value.type for value in results]
        launch = LaunchOp(name, [self.value(value) for value in body.arguments], types)
        location = _location(group)
        if location is not None:
            launch.properties["label"] = location
        self.builder.insert(launch)
        for old, new in zip(results, launch.results_, strict=True):
            new.name_hint = old.name_hint
            self.renamed[old] = new

    def value(self, old: SSAValue) -> SSAValue:
        """The new value for `old`; reshapes of materialized values are made where first needed."""
        if old in self.renamed:
            return self.renamed[old]
        owner = old.owner
        if not isinstance(owner, ReshapeOp):
            return old
        reshape = owner.clone({owner.source: self.value(owner.source)})
        self.builder.insert(reshape)
        self.renamed[old] = reshape.result
        return reshape.result


def _argument_attributes(value: SSAValue) -> DictionaryAttr:
    return DictionaryAttr(
        {WEIGHT_ATTRIBUTE: UnitAttr()} if isinstance(value.owner, WeightOp) else {}
    )


def _location(group: Group) -> StringAttr | None:
    for op in group.ops:
        location = op.attributes.get("loc")
        if isinstance(location, StringAttr):
            return location
    return None
