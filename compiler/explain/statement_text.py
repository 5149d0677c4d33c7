"""A statement of a scop as one line of arithmetic: `C[i0, i1] = C[i0, i1] + A[i0, i2] * 2`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xdsl.dialects import arith, memref
from xdsl.dialects.arith import CMPF_COMPARISON_OPERATIONS, CMPI_COMPARISON_OPERATIONS
from xdsl.dialects.builtin import FloatAttr, IntegerAttr
from xdsl.ir import Operation, SSAValue
from xdsl.ir.affine import AffineMap

from ...dialects.poly import IndexOp, ParamOp, StatementOp, YieldOp
from .affine_text import affine_text

SUM, PRODUCT, ATOM = 1, 2, 3
BINARY: dict[type[Operation], tuple[str, int]] = {
    arith.AddfOp: ("+", SUM),
    arith.AddiOp: ("+", SUM),
    arith.SubfOp: ("-", SUM),
    arith.SubiOp: ("-", SUM),
    arith.MulfOp: ("*", PRODUCT),
    arith.MuliOp: ("*", PRODUCT),
    arith.DivfOp: ("/", PRODUCT),
    arith.DivSIOp: ("/", PRODUCT),
    arith.FloorDivSIOp: ("//", PRODUCT),
    arith.RemSIOp: ("%", PRODUCT),
}
FUNCTIONS: dict[type[Operation], str] = {
    arith.MaximumfOp: "max",
    arith.MinimumfOp: "min",
    arith.MaxSIOp: "max",
    arith.MinSIOp: "min",
}
CONVERSIONS = (
    arith.SIToFPOp,
    arith.IndexCastOp,
    arith.ExtFOp,
    arith.TruncFOp,
    arith.ExtSIOp,
    arith.TruncIOp,
    arith.FPToSIOp,
)
RELATIONS = {"eq": "==", "ne": "!=", "slt": "<", "sle": "<=", "sgt": ">", "sge": ">="}
RELATIONS |= {"oeq": "==", "une": "!=", "olt": "<", "ole": "<=", "ogt": ">", "oge": ">="}
Text = tuple[str, int]


def element_text(name: str, access: AffineMap, sizes: Sequence[str] = ()) -> str:
    """`A[i0, i1 + 1]`; the name alone for a scalar. `sizes` are the names of the parameters."""
    indices = ", ".join(affine_text(e, sizes) for e in access.results)
    return f"{name}[{indices}]" if indices else name


def statement_text(
    statement: StatementOp, names: Mapping[SSAValue, str], sizes: Sequence[str] = ()
) -> str:
    """The assignment that every instance makes; `names` are those of the arrays."""
    values: dict[SSAValue, Text] = {
        argument: (element_text(names[array], access, sizes), ATOM)
        for argument, array, access in zip(
            statement.body.block.args, statement.sources, statement.read_maps, strict=True
        )
    }
    target = element_text(names[statement.target], statement.write.data, sizes)
    for op in statement.body.block.ops:
        if isinstance(op, YieldOp):
            return f"{target} = {values[op.value][0]}"
        operands = [values.get(o, ("?", ATOM)) for o in op.operands]
        for result in op.results:
            values[result] = _operation(op, operands, names, sizes)
    raise AssertionError("a statement ends with poly.yield")


def _operation(
    op: Operation,
    operands: Sequence[Text],
    names: Mapping[SSAValue, str],
    sizes: Sequence[str],
) -> Text:
    match op:
        case ParamOp():
            return sizes[op.index.data], ATOM
        case IndexOp():
            return f"i{op.dim.data}", ATOM
        case arith.ConstantOp(value=FloatAttr() as number):
            return f"{number.value.data:g}", ATOM
        case arith.ConstantOp(value=IntegerAttr() as number):
            return str(number.value.data), ATOM
        case memref.LoadOp():
            return f"{names[op.memref]}[{', '.join(text for text, _ in operands[1:])}]", ATOM
        case arith.NegfOp():
            return f"-{_inside(operands[0], PRODUCT)}", PRODUCT
        case arith.SelectOp():
            condition, then, other = (text for text, _ in operands)
            return f"({then} if {condition} else {other})", ATOM
        case arith.CmpfOp() | arith.CmpiOp():
            predicate = _predicate(op)
            return f"{operands[0][0]} {RELATIONS.get(predicate, predicate)} {operands[1][0]}", SUM
    if isinstance(op, CONVERSIONS):
        return operands[0]
    if type(op) in BINARY:
        sign, level = BINARY[type(op)]
        right = level if sign in "+*" else level + 1
        if sign == "+" and operands[1][0].startswith("-") and operands[1][1] > SUM:
            return f"{_inside(operands[0], SUM)} - {operands[1][0][1:]}", SUM
        return f"{_inside(operands[0], level)} {sign} {_inside(operands[1], right)}", level
    name = FUNCTIONS.get(type(op), op.name.partition(".")[2])
    return f"{name}({', '.join(text for text, _ in operands)})", ATOM


def _inside(text: Text, level: int) -> str:
    return text[0] if text[1] >= level else f"({text[0]})"


def _predicate(op: arith.CmpfOp | arith.CmpiOp) -> str:
    is_float = isinstance(op, arith.CmpfOp)
    names = CMPF_COMPARISON_OPERATIONS if is_float else CMPI_COMPARISON_OPERATIONS
    return names[op.predicate.value.data]
