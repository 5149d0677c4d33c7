"""Operations that combine an accumulator with a value, and the kind of reduction that they are."""

from __future__ import annotations

from xdsl.dialects import arith
from xdsl.ir import Operation

COMBINERS: dict[type[Operation], str] = {
    arith.AddfOp: "add",
    arith.AddiOp: "add",
    arith.MulfOp: "mul",
    arith.MuliOp: "mul",
    arith.MaximumfOp: "max",
    arith.MaxnumfOp: "max",
    arith.MaxSIOp: "max",
    arith.MaxUIOp: "max",
    arith.MinimumfOp: "min",
    arith.MinSIOp: "min",
    arith.MinUIOp: "min",
    arith.AndIOp: "and",
    arith.OrIOp: "or",
}
