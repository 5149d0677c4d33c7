"""Elements combined along dims: reductions, scans, softmax, norms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from xdsl.dialects.builtin import (
    BoolAttr,
    FloatAttr,
    IntAttr,
    StringAttr,
    TensorType,
    f64,
)
from xdsl.ir import SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    prop_def,
)
from xdsl.utils.exceptions import VerifyException

from .base import (
    GraphOp,
    Ints,
    Tensor,
    check_dim,
    element_of,
    ints,
    shape_of,
)


@irdl_op_definition
class ReduceOp(GraphOp):
    """`fn` in {sum, prod, max, min, any, all, maxnum} over `dims`, which disappear.

    `maxnum` is a maximum that need not hand on NaN, as what exponentials are shifted by.
    """

    name = "graph.reduce"
    fn = prop_def(StringAttr)
    dims = prop_def(Ints)
    source = operand_def(TensorType)
    FUNCTIONS: ClassVar = ("sum", "prod", "max", "min", "any", "all", "maxnum")

    def __init__(self, fn: str, source: SSAValue, dims: Sequence[int], type: Tensor) -> None:
        super().__init__(
            operands=[source],
            properties={"fn": StringAttr(fn), "dims": ints(sorted(dims))},
            result_types=[type],
        )

    def expected_shape(self) -> tuple[int, ...] | None:
        gone = {d.data for d in self.dims}
        return tuple(n for d, n in enumerate(shape_of(self.source)) if d not in gone)


@irdl_op_definition
class ScanOp(GraphOp):
    """Running `fn` in {sum, prod, max, min, logaddexp} of elements 0..i along `dim`."""

    name = "graph.scan"
    fn = prop_def(StringAttr)
    dim = prop_def(IntAttr)
    source = operand_def(TensorType)
    FUNCTIONS: ClassVar = ("sum", "prod", "max", "min", "logaddexp")

    def __init__(self, fn: str, source: SSAValue, dim: int) -> None:
        super().__init__(
            operands=[source],
            properties={"fn": StringAttr(fn), "dim": IntAttr(dim)},
            result_types=[source.type],
        )

    def expected_shape(self) -> tuple[int, ...] | None:
        return shape_of(self.source)

    def verify_(self) -> None:
        if self.fn.data not in self.FUNCTIONS:
            raise VerifyException(f"graph.scan: no function {self.fn.data!r}")
        check_dim(self, self.dim, self.source)
        if element_of(self.result) != element_of(self.source):
            raise VerifyException("graph.scan: the result has another element type")
        super().verify_()


@irdl_op_definition
class SoftmaxOp(GraphOp):
    """exp(x - max) / sum along `dim`; its logarithm where `log`."""

    name = "graph.softmax"
    dim = prop_def(IntAttr)
    log = prop_def(BoolAttr)
    source = operand_def(TensorType)

    def __init__(self, source: SSAValue, dim: int, log: bool = False) -> None:
        super().__init__(
            operands=[source],
            properties={"dim": IntAttr(dim), "log": BoolAttr.from_bool(log)},
            result_types=[source.type],
        )


@irdl_op_definition
class NormOp(GraphOp):
    """Normalize over the last `rank` dims (`kind` layer or rms), then scale and shift.

    layer: (x - mean) / sqrt(var + eps) * weight + bias;  rms: x / sqrt(mean(x^2) + eps) * weight.
    """

    name = "graph.norm"
    kind = prop_def(StringAttr)
    rank = prop_def(IntAttr)
    eps = prop_def(FloatAttr)
    source = operand_def(TensorType)
    weight = opt_operand_def(TensorType)
    bias = opt_operand_def(TensorType)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    def __init__(
        self,
        kind: str,
        source: SSAValue,
        weight: SSAValue | None,
        bias: SSAValue | None,
        rank: int,
        eps: float,
    ) -> None:
        super().__init__(
            operands=[source, weight, bias],
            properties={
                "kind": StringAttr(kind),
                "rank": IntAttr(rank),
                "eps": FloatAttr(eps, f64),
            },
            result_types=[source.type],
        )
