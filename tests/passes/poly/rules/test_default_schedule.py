"""The schedule pass for several machines: the loops it leads to compute what linalg means."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tilecast.dialects.poly import ScopOp
from tilecast.passes.context import CompileContext
from tilecast.passes.loops.eliminate_common_subexpressions import EliminateCommonSubexpressionsPass
from tilecast.passes.loops.promote_buffers import PromoteBuffersPass
from tilecast.passes.poly.emission.lower_scop import lower_scop
from tilecast.passes.poly.rules.schedule import choose_schedule, lanes_for
from xdsl.dialects.builtin import ModuleOp

ODD = st.sampled_from([1, 2, 3, 5, 9, 17, 33])


@pytest.mark.parametrize("machine", ["scalar", "avx2", "avx512"])
def test_every_kernel_of_the_family_keeps_its_meaning(
    family_kernel: Any, machines: dict[str, Any], machine: str
) -> None:
    scop = family_kernel.scop()
    choose_schedule(scop, machines[machine], 1)
    family_kernel.check_lowered(scop)


def test_later_passes_keep_the_meaning(family_kernel: Any, machines: dict[str, Any]) -> None:
    scop = family_kernel.scop()
    choose_schedule(scop, machines["avx512"], 1)
    module = ModuleOp([lower_scop(scop)])
    for step in (PromoteBuffersPass(), EliminateCommonSubexpressionsPass()):
        step.apply(CompileContext(), module)
    family_kernel.check_loops(module.body.block.first_op)


@pytest.mark.parametrize(("builder", "sizes"), [("matmul", (5, 7, 19)), ("linear", (7, 9, 35))])
def test_register_tiles_with_a_partial_vector_need_no_selection(
    build: Any, machines: dict[str, Any], builder: str, sizes: tuple[int, ...]
) -> None:
    kernel = build(builder, *sizes)
    scop = kernel.scop()
    choose_schedule(scop, machines["avx512"], 1)
    module = ModuleOp([lower_scop(scop)])
    PromoteBuffersPass().apply(CompileContext(), module)
    text = str(module)
    assert "vector.constant_mask" in text
    assert "memref.alloca" not in text
    assert "vector.select" not in text
    kernel.check_loops(module.body.block.first_op)


@pytest.mark.parametrize(("shape", "lanes"), [("100", 16), ("100x64", 8)])
def test_wide_elements_of_little_work_do_not_halve_the_lanes(
    scop_text: Any, machines: dict[str, Any], shape: str, lanes: int
) -> None:
    """Labels of rows, as of a cross-entropy, are read one by one."""
    text = scop_text(
        x="in 100x64xf32", y="out 100x64xf32", i=f"in {shape}xi64", j=f"out {shape}xi64"
    )
    text.statement("100 x 64", "y[i0, i1]", "x[i0, i1]")
    place = "i0, i1" if "x" in shape else "i0"
    text.statement(shape, f"j[{place}]", f"i[{place}]")
    scop = text.scop()
    assert lanes_for(scop, machines["avx512"]) == lanes
    choose_schedule(scop, machines["avx512"], 1)
    loops = str(lower_scop(scop))
    assert f"vector<{lanes}xf32>" in loops
    assert ("xi64>, vector<" in loops) == (lanes == 8)


@settings(max_examples=12)
@given(ODD, st.sampled_from([1, 2, 7]), ODD)
def test_linear_layers_of_any_size(
    build: Any, machines: dict[str, Any], m: int, k: int, n: int
) -> None:
    kernel = build("linear", m, k, n)
    scop = kernel.scop()
    choose_schedule(scop, machines["avx512"], 1)
    kernel.check_lowered(scop)


@settings(max_examples=12)
@given(ODD, ODD)
def test_softmax_of_any_size(build: Any, machines: dict[str, Any], rows: int, columns: int) -> None:
    kernel = build("softmax", rows, columns)
    scop = kernel.scop()
    choose_schedule(scop, machines["avx2"], 1)
    kernel.check_lowered(scop)


PARALLEL = [
    ("linear", (16, 64, 128)),
    ("softmax", (65, 66)),
    ("transpose", (130, 128)),
    ("reduce", ("sum", 130, 131, 1)),
    ("reduce", ("sum", 130, 131, 0)),
    ("reduce", ("sum", 130, 131, 0, 1)),
    ("cat", (65, 128, 130)),
]


@pytest.mark.parametrize(("builder", "sizes"), PARALLEL)
def test_parallel_loops_may_run_in_any_order(
    build: Any, machines: dict[str, Any], builder: str, sizes: tuple[Any, ...]
) -> None:
    kernel = build(builder, *sizes)
    scop = kernel.scop()
    choose_schedule(scop, machines["avx512"], 2)
    kernel.check_lowered(scop)  # runs parallel loops backwards too
    has_parallel = "parallelize" in scop.schedule.data
    assert has_parallel == (sizes != ("sum", 130, 131, 0, 1))


def test_one_thread_has_no_parallel_loop(build: Any, machines: dict[str, Any]) -> None:
    scop = build("transpose", 130, 128).scop()
    choose_schedule(scop, machines["avx512"], 1)
    assert "parallelize" not in scop.schedule.data


def test_small_kernels_stay_on_one_thread(build: Any, machines: dict[str, Any]) -> None:
    scop = build("transpose", 5, 19).scop()
    choose_schedule(scop, machines["avx512"], 2)
    assert "parallelize" not in scop.schedule.data


def test_the_schedule_does_not_depend_on_the_run(build: Any, machines: dict[str, Any]) -> None:
    texts = set()
    for _ in range(2):
        scop = build("attention", 2, 3, 18, 5, True).scop()
        choose_schedule(scop, machines["avx512"], 2)
        texts.add(str(lower_scop(scop)))
    assert len(texts) == 1


def test_domains_that_are_no_boxes_keep_their_order(
    scop_text: Any, machines: dict[str, Any], check: Any
) -> None:
    s = scop_text(x="in 6x6xf32", y="out 6x6xf32")
    s.statement("6 x 6", "y[i0, i1]", "", "zero")
    s.statement("{ [i0, i1] : 0 <= i1 <= i0 < 6 }", "y[i0, i1]", "x[i1, i0]", "copy")
    scop: ScopOp = s.scop()
    choose_schedule(scop, machines["avx512"], 1)
    assert scop.schedule.data == ""
    check(scop)


def test_vectors_are_as_long_as_the_widest_element_allows(
    kernel: Any, kernel_text: Any, machines: dict[str, Any]
) -> None:
    t = kernel_text(x="3x21xf64")
    case = kernel(t.returns(t.op("pointwise", "%x", "3x21xf64", 'fn = "neg"')))
    scop = case.scop()
    choose_schedule(scop, machines["avx512"], 1)
    func = case.check_lowered(scop)
    assert "vector<8xf64>" in str(func)
    assert "vector<16xf64>" not in str(func)


@pytest.mark.parametrize("dtype", ["i1", "i64", "i32"])
def test_integers_and_booleans(
    kernel: Any, kernel_text: Any, machines: dict[str, Any], dtype: str
) -> None:
    fn = "and" if dtype == "i1" else "mul"
    t = kernel_text(x=f"3x21x{dtype}", y=f"21x{dtype}")
    product = t.op("pointwise", "%x %y", f"3x21x{dtype}", f'fn = "{fn}"')
    reduce = "any" if dtype == "i1" else "max"
    r = t.op("reduce", product, f"3x{dtype}", f'fn = "{reduce}", dims = [#builtin.int<1>]')
    case = kernel(t.returns(product, r))
    scop = case.scop()
    choose_schedule(scop, machines["avx2"], 1)
    case.check_lowered(scop)
