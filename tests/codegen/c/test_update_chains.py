"""Which values of a loop body are assigned to the variable that they update."""

from __future__ import annotations

import pytest
from tilecast.codegen.c.update_chains import update_chains
from tilecast.passes.context import CompileContext
from xdsl.dialects.scf import ForOp
from xdsl.parser import Parser

TEXT = """
func.func @f(%x: vector<8xf32>, %y: f32, %n: index) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %r, %s = scf.for %i = %zero to %n step %one iter_args(%a = %x, %b = %y)
      -> (vector<8xf32>, f32) {
    BODY
  }
  func.return
}
"""


def chains(*body: str) -> list[int]:
    """The positions of all steps in a loop that carries the vector %a and the scalar %b."""
    module = Parser(CompileContext(), TEXT.replace("BODY", "\n".join(body))).parse_module()
    (loop,) = (op for op in module.walk() if isinstance(op, ForOp))
    return sorted(update_chains(loop).values())


SUM = (
    "%1 = arith.addf %a, %x : vector<8xf32>",
    "%2 = arith.mulf %1, %x : vector<8xf32>",
)


def test_every_step_of_a_sum_overwrites_it() -> None:
    assert chains(*SUM, "scf.yield %2, %b : vector<8xf32>, f32") == [0, 0]


@pytest.mark.parametrize("read", ["%a", "%1"])
def test_nothing_does_where_an_old_value_is_read_again(read: str) -> None:
    again = f"%3 = arith.mulf %2, {read} : vector<8xf32>"
    assert chains(*SUM, again, "scf.yield %3, %b : vector<8xf32>, f32") == []


def test_scalars_are_updated_in_single_steps_only() -> None:
    one, two = "%3 = arith.addf %b, %y : f32", "%4 = arith.mulf %3, %y : f32"
    assert chains(one, two, "scf.yield %a, %4 : vector<8xf32>, f32") == []
    assert chains(one, "scf.yield %a, %3 : vector<8xf32>, f32") == [1]
