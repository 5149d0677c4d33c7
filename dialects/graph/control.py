"""Control flow of the `graph` dialect: branches and loops that call functions of the module.

Only such programs use them. A function that is not `@main` and carries `tilecast.program` is one
that control flow calls, or a part of one: it computes with graph ops and reads weights by symbol,
as main does. Kernels are all other functions.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import IntAttr, SymbolRefAttr, TensorType, UnitAttr, i1
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    AttrSizedResultSegments,
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    prop_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from .base import shape_of

PROGRAM_ATTRIBUTE = "tilecast.program"


def is_program(func: FuncOp) -> bool:
    """Whether `func` is `@main` or a function that control flow calls, and not a kernel."""
    return func.sym_name.data == "main" or PROGRAM_ATTRIBUTE in func.attributes


def program_function(
    name: str, arguments: Sequence[Attribute], results: Sequence[Attribute]
) -> FuncOp:
    """An empty function that control flow can call."""
    func = FuncOp(name, (list(arguments), list(results)))
    func.attributes[PROGRAM_ATTRIBUTE] = UnitAttr()
    return func


class ControlOp(IRDLOperation):
    """Base: calls functions of the module, whose names are properties; no side effect."""

    traits = traits_def(Pure())

    @property
    def callees(self) -> dict[str, str]:
        """Property -> the function that it names."""
        return {
            key: value.root_reference.data
            for key, value in self.properties.items()
            if isinstance(value, SymbolRefAttr)
        }


@irdl_op_definition
class CondOp(ControlOp):
    """The results of `then_branch` where `condition` holds, else those of `else_branch`.

    Both are called with `arguments`; only one runs.
    """

    name = "graph.cond"
    then_branch = prop_def(SymbolRefAttr)
    else_branch = prop_def(SymbolRefAttr)
    condition = operand_def(TensorType)
    arguments = var_operand_def(TensorType)
    results_ = var_result_def(TensorType)

    def __init__(
        self,
        condition: SSAValue,
        branches: tuple[str, str],
        arguments: Sequence[SSAValue],
        result_types: Sequence[Attribute],
    ) -> None:
        super().__init__(
            operands=[condition, arguments],
            properties={
                "then_branch": SymbolRefAttr(branches[0]),
                "else_branch": SymbolRefAttr(branches[1]),
            },
            result_types=[result_types],
        )

    def verify_(self) -> None:
        check_condition(self, self.condition.type)


@irdl_op_definition
class WhileOp(ControlOp):
    """carried = body(*carried, *shared) while condition(*carried, *shared); the last `carried`."""

    name = "graph.while"
    condition = prop_def(SymbolRefAttr)
    body = prop_def(SymbolRefAttr)
    carried = var_operand_def(TensorType)
    shared = var_operand_def(TensorType)
    results_ = var_result_def(TensorType)
    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    def __init__(
        self, condition: str, body: str, carried: Sequence[SSAValue], shared: Sequence[SSAValue]
    ) -> None:
        super().__init__(
            operands=[carried, shared],
            properties={"condition": SymbolRefAttr(condition), "body": SymbolRefAttr(body)},
            result_types=[[value.type for value in carried]],
        )

    def verify_(self) -> None:
        check_carried(self, self.carried, self.results_)


@irdl_op_definition
class ForOp(ControlOp):
    """for i in 0..count: carried, slice i of stacked = body(*carried, *slices i of xs, *shared).

    Slices are of the first dimension. Results are the last `carried` and what was `stacked`.
    """

    name = "graph.for"
    body = prop_def(SymbolRefAttr)
    count = prop_def(IntAttr)
    carried = var_operand_def(TensorType)
    sliced = var_operand_def(TensorType)
    shared = var_operand_def(TensorType)
    results_ = var_result_def(TensorType)
    stacked = var_result_def(TensorType)
    irdl_options = (
        AttrSizedOperandSegments(as_property=True),
        AttrSizedResultSegments(as_property=True),
    )

    def __init__(
        self,
        body: str,
        count: int,
        carried: Sequence[SSAValue],
        sliced: Sequence[SSAValue],
        shared: Sequence[SSAValue],
        stacked: Sequence[Attribute],
    ) -> None:
        super().__init__(
            operands=[carried, sliced, shared],
            properties={"body": SymbolRefAttr(body), "count": IntAttr(count)},
            result_types=[[value.type for value in carried], stacked],
        )

    def verify_(self) -> None:
        check_carried(self, self.carried, self.results_)
        for value in (*self.sliced, *self.stacked):
            if shape_of(value)[:1] != (self.count.data,):
                raise VerifyException(
                    f"{self.name}: expected {self.count.data} slices, found {value.type}"
                )


def check_condition(op: ControlOp, type: Attribute) -> None:
    """VerifyException where a condition is no single truth value."""
    if not isinstance(type, TensorType) or type.element_type != i1 or type.get_shape():
        raise VerifyException(f"{op.name}: the condition has to be tensor<i1>, found {type}")


def check_carried(op: ControlOp, before: Sequence[SSAValue], after: Sequence[SSAValue]) -> None:
    """VerifyException where values change their types from one iteration to the next."""
    if [value.type for value in before] != [value.type for value in after]:
        raise VerifyException(f"{op.name}: carried values have to keep their types")


CONTROL_OPS = (CondOp, WhileOp, ForOp)
