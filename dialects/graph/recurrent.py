"""`graph.recurrent`: one direction of a recurrent layer over all steps, an opaque op."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import BoolAttr, StringAttr, TensorType
from xdsl.ir import SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    prop_def,
    var_operand_def,
)
from xdsl.utils.exceptions import VerifyException

from .base import bounds_of, element_of, shape_of, tensor_of
from .opaque import OpaqueOp

GATES = {"lstm": 4, "gru": 3, "tanh": 1, "relu": 1}
"""Cell to its number of gates. Those of one gate are torch.nn.RNN's, named by their function."""
STATES = {"lstm": 2, "gru": 1, "tanh": 1, "relu": 1}


@irdl_op_definition
class RecurrentOp(OpaqueOp):
    """One direction of a layer of cells; the result has its states before and after every step.

    `gates` [T, B, G H] is what inputs and biases give to the gates, `weight` [G H, H] belongs to
    the hidden state h. result[s, 0] is the hidden state after s steps, for an LSTM result[s, 1] the
    cell state; result[0] is `initial`. Step s reads x = gates[s], where `reverse` gates[T - 1 - s].
    With y = x + weight h, gate by gate, a step is

    lstm        i, f, g, o = y;  c' = sigmoid(f) c + sigmoid(i) tanh(g);  h' = sigmoid(o) tanh(c')
    gru         r, z = sigmoid(y[:2]);  n = tanh(x[2] + r (weight[2] h + bias));  h' = n + z (h - n)
    tanh, relu  h' = function(y)

    Only a GRU may have a `bias` [H]: that of the hidden state, inside of the product with r.
    """

    name = "graph.recurrent"
    fn = prop_def(StringAttr)
    reverse = prop_def(BoolAttr)
    gates = operand_def(TensorType)
    weight = operand_def(TensorType)
    initial = var_operand_def(TensorType)
    bias = opt_operand_def(TensorType)
    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    def __init__(
        self,
        cell: str,
        gates: SSAValue,
        weight: SSAValue,
        initial: Sequence[SSAValue],
        reverse: bool = False,
        bias: SSAValue | None = None,
    ) -> None:
        shape = [shape_of(gates)[0] + 1, len(initial), *shape_of(initial[0])]
        super().__init__(
            operands=[gates, weight, list(initial), bias],
            properties={"fn": StringAttr(cell), "reverse": BoolAttr.from_bool(reverse)},
            result_types=[tensor_of(element_of(gates), shape)],
        )

    def expected_shape(self) -> tuple[int, ...] | None:
        return (shape_of(self.gates)[0] + 1, len(self.initial), *shape_of(self.initial[0]))

    def magnitude(self, position: int) -> float:
        """Larger recurrent weights make a chaotic system of the layer."""
        return 1 / max(1, shape_of(self.weight)[1]) if position == 1 else 1.0

    @property
    def longest_sum(self) -> int:
        return (shape_of(self.weight)[1] + 1) * bounds_of(self.gates)[0]

    def verify_(self) -> None:
        cell = self.fn.data
        if cell not in GATES:
            raise VerifyException(f"{self.name}: expected a cell of {list(GATES)}, got {cell!r}")
        if len(self.initial) != STATES[cell]:
            raise VerifyException(f"{self.name}: {cell} has {STATES[cell]} initial states")
        if self.bias is not None and cell != "gru":
            raise VerifyException(f"{self.name}: only a gru has a bias of its own, not {cell}")
        steps, batch, _ = shape_of(self.gates)
        units = shape_of(self.initial[0])[1]
        rows = GATES[cell] * units
        expected = [(steps, batch, rows), (rows, units), *[(batch, units)] * STATES[cell]]
        expected += [(units,)] * (self.bias is not None)
        found = [shape_of(value) for value in self.operands]
        if found != expected:
            raise VerifyException(f"{self.name}: expected operands {expected}, got {found}")
        if len({element_of(value) for value in (*self.operands, self.result)}) != 1:
            raise VerifyException(f"{self.name}: expected operands of one element type")
        super().verify_()
