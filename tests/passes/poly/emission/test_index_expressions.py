"""Index expressions of isl's AST: choices become values, or are decided by ranges."""

from __future__ import annotations

import pytest
from tilecast.dialects.errors import IllegalScheduleError
from tilecast.passes.poly.emission.index_expr import IndexBuilder
from tilecast.passes.poly.emission.linear import Atom, Linear
from tilecast.passes.poly.emission.loop_ast import Call, read_expr
from tilecast.passes.poly.sets import isl
from xdsl.dialects.builtin import IndexType
from xdsl.ir import Block

CHOICE = Call("choose", (Call("le", ("c0", 3)), Call("add", ("c0", 1)), 9))


def test_isl_writes_choices() -> None:
    aff = isl.PwAff("[c0] -> { [(c0 + 1)] : c0 <= 3; [(9)] : c0 > 3 }")
    build = isl.AstBuild.from_context(isl.Set("[c0] -> { : }"))
    expr = read_expr(build.expr_from_pw_aff(aff))
    assert isinstance(expr, Call)
    assert expr.op == "choose"


def test_a_choice_is_a_select_within_the_range_of_both() -> None:
    block = Block(arg_types=[IndexType()])
    atom = Atom("c0", 0, 5, block.args[0])
    index = IndexBuilder(block, {"c0": Linear(0, ((atom, 1),))})
    value = index.evaluate(CHOICE)
    assert (value.low, value.high) == (1, 9)
    assert [op.name for op in block.ops][-1] == "arith.select"


@pytest.mark.parametrize(("low", "high", "expected"), [(0, 3, (1, 4)), (4, 7, (9, 9))])
def test_ranges_decide(low: int, high: int, expected: tuple[int, int]) -> None:
    index = IndexBuilder(None, {"c0": Linear(0, ((Atom("c0", low, high), 1),))})
    value = index.evaluate(CHOICE)
    assert (value.low, value.high) == expected
    assert index.unresolved == 0


@pytest.mark.parametrize("decided", [0, 1])
def test_isl_decides_some_guards_by_itself(decided: int) -> None:
    assert IndexBuilder(None, {}).condition(decided) is bool(decided)


def test_lanes_that_choose_are_refused() -> None:
    lane = Atom("c0", 0, 7, None, lane=True)
    index = IndexBuilder(Block(), {"c0": Linear(0, ((lane, 1),))}, lanes=8)
    with pytest.raises(IllegalScheduleError, match="vectorize another loop"):
        index.evaluate(CHOICE)


@pytest.mark.parametrize(("multiple", "factor"), [(4, 1), (8, 1), (4, 3), (2, 2), (1, 8), (6, -2)])
@pytest.mark.parametrize("divisor", [4, 8, 12])
@pytest.mark.parametrize("constant", [-5, 0, 1])
def test_quotients_do_not_need_lanes(
    multiple: int, factor: int, divisor: int, constant: int
) -> None:
    loop = Atom("i", -multiple * 3, multiple * 3, multiple=multiple)
    lane = Atom("l", 0, 3, None, lane=True)
    form = Linear(constant, ((loop, factor), (lane, 1)))
    without = form.without_lanes(divisor)
    assert without is form or not without.varies
    for i in range(loop.low, loop.high + 1, multiple):
        for k in range(lane.low, lane.high + 1):
            values = {loop: i, lane: k}
            one, other = (
                x.constant + sum(c * values[a] for a, c in x.terms) for x in (form, without)
            )
            assert one // divisor == other // divisor
