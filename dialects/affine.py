"""xDSL's `affine` dialect with the custom syntax of `affine.if`, which it lacks."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects import affine
from xdsl.dialects.builtin import AffineSetAttr, IndexType
from xdsl.ir import Block, Dialect, Region, SSAValue
from xdsl.ir.affine.affine_set import AffineSet
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    prop_def,
    region_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import RecursivelySpeculatable, RecursiveMemoryEffect
from xdsl.utils.exceptions import VerifyException


@irdl_op_definition
class IfOp(IRDLOperation):
    """Run one region where the operands are in an affine set, the other one where they are not.

    affine.if affine_set<(d0)[s0] : (d0 - s0 >= 0)>(%i)[%n] { ... } else { ... }
    """

    name = "affine.if"
    args = var_operand_def(IndexType)
    res = var_result_def()
    condition = prop_def(AffineSetAttr)
    then_region = region_def("single_block")
    else_region = region_def()
    traits = traits_def(RecursiveMemoryEffect(), RecursivelySpeculatable())

    @staticmethod
    def of(condition: AffineSet, operands: Sequence[SSAValue], then: Region, other: Region) -> IfOp:
        """A branch without results; `other` may be empty."""
        return IfOp.build(
            operands=[operands],
            result_types=[[]],
            properties={"condition": AffineSetAttr(condition)},
            regions=[then, other],
        )

    def verify_(self) -> None:
        expected = self.condition.data.num_dims + self.condition.data.num_symbols
        if len(self.args) != expected:
            raise VerifyException(
                f"affine.if: the condition takes {expected} operands, got {len(self.args)}"
            )

    @classmethod
    def parse(cls, parser: Parser) -> IfOp:
        start = parser.pos
        condition = parser.parse_attribute()
        if not isinstance(condition, AffineSetAttr):
            parser.raise_error("expected an affine set", start)

        def operand() -> SSAValue:
            return parser.parse_operand(IndexType())

        operands = [
            *parser.parse_comma_separated_list(parser.Delimiter.PAREN, operand),
            *(parser.parse_optional_comma_separated_list(parser.Delimiter.SQUARE, operand) or []),
        ]
        then = _parse_branch(parser)
        has_else = parser.parse_optional_keyword("else") is not None
        other = _parse_branch(parser) if has_else else Region()
        attributes = parser.parse_optional_attr_dict()
        op = IfOp.of(condition.data, operands, then, other)
        op.attributes.update(attributes)
        return op

    def print(self, printer: Printer) -> None:
        dims = self.condition.data.num_dims
        printer.print_string(" ")
        printer.print_attribute(self.condition)
        with printer.in_parens():
            printer.print_list(self.args[:dims], printer.print_ssa_value)
        if self.args[dims:]:
            with printer.in_square_brackets():
                printer.print_list(self.args[dims:], printer.print_ssa_value)
        printer.print_string(" ")
        printer.print_region(self.then_region, print_block_terminators=False)
        if self.else_region.blocks:
            printer.print_string(" else ")
            printer.print_region(self.else_region, print_block_terminators=False)
        printer.print_op_attributes(self.attributes)


def _parse_branch(parser: Parser) -> Region:
    """A region with its terminator, which the text leaves out."""
    region = parser.parse_region()
    if not region.blocks:
        region.add_block(Block())
    if not isinstance(region.block.last_op, affine.YieldOp):
        region.block.add_op(affine.YieldOp.get())
    return region


Affine = Dialect(
    "affine",
    [*(op for op in affine.Affine.operations if op is not affine.IfOp), IfOp],
    list(affine.Affine.attributes),
)
