"""Softmax-weighted sums by blocks of keys: same values, blocks behind a causal mask left out,
memory of a block instead of a row."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tilecast.costmodel.hardware import Machine
from tilecast.dialects.poly import ScopOp
from tilecast.dialects.schedule import bands_of, parse_step
from tilecast.passes.poly.emission.lower_scop import lower_scop
from tilecast.passes.poly.rules.schedule import choose_schedule
from tilecast.passes.poly.scheduled import apply_schedule
from tilecast.passes.poly.sets import isl
from tilecast.passes.poly.simplification.collapse_dims import collapse_dims
from tilecast.passes.poly.simplification.inline_statements import inline_statements
from tilecast.passes.poly.softmax.key_blocks import block_keys
from tilecast.passes.poly.softmax.online_softmax import online_softmax
from tilecast.passes.poly.softmax.softmax_sums import softmax_sums
from xdsl.dialects import memref

Run = Callable[..., list[np.ndarray]]

SMALL_CACHE = {
    "scalar": Machine("scalar", "scalar", l2_bytes=2048),
    "avx2": Machine("x86-64-v3", "avx2", vector_bytes=32, l2_bytes=2048),
    "avx512": Machine("x86-64-v4", "avx512", vector_bytes=64, vector_registers=32, l2_bytes=2048),
}


@pytest.fixture(scope="session")
def attention(kernel_text: Any, kernel: Any) -> Callable[..., Any]:
    """attention(batch, queries, keys, depth, mask="", causal=False): the kernel."""

    def build(
        batch: int, queries: int, keys: int, depth: int, mask: str = "", causal: bool = False
    ) -> Any:
        masks = {"m": f"{batch}x{queries}x{keys}x{mask}"} if mask else {}
        t = kernel_text(
            q=f"{batch}x{queries}x{depth}xf32",
            k=f"{batch}x{keys}x{depth}xf32",
            v=f"{batch}x{keys}x{depth}xf32",
            **masks,
        )
        properties = f"scale = 5.0e-01 : f64, causal = {str(causal).lower()}"
        operands = " ".join(["%q %k %v", *(f"%{name}" for name in masks)])
        result = t.op("attention", operands, f"{batch}x{queries}x{depth}xf32", properties)
        return kernel(t.returns(result), exact=False)

    return build


def in_blocks(scop: ScopOp, size: int) -> int:
    """Rewrite what can be, after the passes that come before; how often."""
    collapse_dims(scop)
    inline_statements(scop)
    found = [f for s in scop.statements if (f := softmax_sums(scop, s)) is not None]
    for sums in found:
        online_softmax(scop, sums, size)
    scop.verify()
    return len(found)


@settings(max_examples=12)
@given(st.integers(1, 2), st.integers(1, 3), st.integers(2, 9), st.integers(1, 5), st.booleans())
def test_any_block_size_keeps_the_meaning(
    attention: Any, batch: int, queries: int, keys: int, size: int, causal: bool
) -> None:
    kernel = attention(batch, queries, keys, 2, causal=causal)
    scop = kernel.scop()
    assert in_blocks(scop, size) == 1
    kernel.check_scop(scop)


@pytest.mark.parametrize("mask", ["i1", "f32"])
def test_masks_keep_their_meaning(attention: Any, mask: str) -> None:
    kernel = attention(2, 3, 10, 4, mask)
    scop = kernel.scop()
    assert in_blocks(scop, 4) == 1
    kernel.check_scop(scop)


def special_inputs(mask: str) -> list[np.ndarray]:
    """Scores with NaN, infinities and rows whose first blocks, or all, are hidden."""
    rng = np.random.default_rng(3)
    q, k, v = (rng.normal(size=(1, n, 4)).astype(np.float32) for n in (8, 12, 12))
    k[0, 5] = 1e30
    q[0, 0, 1] = np.nan
    keep = rng.random((1, 8, 12)) < 0.7
    keep[0, 1] = False
    keep[0, 2, :9] = False
    keep[0, 3, 5:] = False
    if mask == "i1":
        return [q, k, v, keep]
    bias = np.where(keep, 0, -np.inf).astype(np.float32)
    bias[0, 6, 7] = np.inf
    bias[0, 7, 2] = np.nan
    return [q, k, v, bias]


@pytest.mark.parametrize("mask", ["i1", "f32"])
@pytest.mark.parametrize("size", [1, 4, 5])
def test_special_values_are_those_of_whole_rows(
    attention: Any, run_plain: Run, mask: str, size: int
) -> None:
    kernel = attention(1, 8, 12, 4, mask)
    scop = kernel.scop()
    inputs = special_inputs(mask)
    with np.errstate(all="ignore"):
        (want,) = run_plain(scop, inputs)
        assert in_blocks(scop, size) == 1
        (got,) = run_plain(scop, inputs)
    assert np.isnan(want).any()
    assert (want[0, 1] == 0).all()  # nothing to attend to
    np.testing.assert_allclose(got, want[0], rtol=1e-5, atol=1e-6)


def test_maxima_without_nan_leave_nan_in_the_sums(attention: Any, run_plain: Run) -> None:
    scop = attention(1, 8, 12, 4, "f32").scop()
    assert "arith.maxnumf" in str(scop)
    assert "arith.maximumf" not in str(scop)
    q, k, v, bias = inputs = special_inputs("f32")
    with np.errstate(all="ignore"):
        (got,) = run_plain(scop, inputs)
        scores = q @ k.swapaxes(1, 2) * np.float32(0.5) + bias
        largest = scores.max(-1, keepdims=True)  # NaN where any score is
        weights = np.exp(scores - np.where(largest == -np.inf, 0, largest))
        total = weights.sum(-1, keepdims=True)
        want = weights @ v * np.where(total == 0, 0, 1 / total)
    assert np.isnan(want).any()
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want).reshape(got.shape))
    np.testing.assert_allclose(got, want.reshape(got.shape), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "sizes"), [("softmax", (3, 9)), ("matmul", (3, 4, 5))])
def test_other_kernels_are_left_alone(build: Any, name: str, sizes: tuple[int, ...]) -> None:
    scop = build(name, *sizes).scop()
    before = str(scop)
    assert all(softmax_sums(scop, s) is None for s in scop.statements)
    assert str(scop) == before


def test_scores_that_change_before_their_exponentials_are_left_alone(attention: Any) -> None:
    scop = attention(1, 3, 9, 2).scop()
    (found,) = [f for s in scop.statements if (f := softmax_sums(scop, s)) is not None]
    writer = next(s for s in scop.statements if s.target is found.scores)
    again = writer.clone()
    again.properties["sym_name"] = type(again.sym_name)("again")
    scop.body.block.insert_op_before(again, found.exponential)
    assert all(softmax_sums(scop, s) is None for s in scop.statements)


def test_rows_that_fit_the_cache_stay_whole(attention: Any, machines: dict[str, Any]) -> None:
    machine = machines["avx512"]
    for keys, causal, blocked in [
        (512, False, 0),
        (2048, False, 1),
        (512, True, 0),
        (2048, True, 1),
    ]:
        scop = attention(1, keys, keys, 64, causal=causal).scop()
        collapse_dims(scop)
        inline_statements(scop)
        assert len(block_keys(scop, machine, 16)) == blocked, (keys, causal)


def exponentials(scop: ScopOp) -> int:
    """How often the exponential of a score is computed."""
    (s,) = (s for s in scop.statements if s.sym_name.data == "S6")
    assert "math.exp" in str(s)
    count: int = isl.Set(s.domain.data).count_val().to_python()
    return count


def test_keys_behind_a_causal_mask_are_left_out(attention: Any) -> None:
    queries, keys, rows, granule = 200, 300, 56, 32  # whole register tiles, whole panels
    whole, causal = (attention(1, queries, keys, 4, causal=c).scop() for c in (False, True))
    for scop in (whole, causal):
        choose_schedule(scop, SMALL_CACHE["avx512"], 1)
    assert exponentials(whole) == queries * keys
    expected = 0
    for start in range(0, queries, rows):
        end = min(queries, start + rows)
        expected += (end - start) * min(keys, granule * ceil(end / granule))
    assert exponentials(causal) == expected


def test_hidden_keys_of_whole_rows_are_left_out_too(attention: Any, machines: Any) -> None:
    scop = attention(1, 64, 64, 4, causal=True).scop()
    choose_schedule(scop, machines["avx512"], 1)
    rows, granule = 13, 32  # 64 rows make five tiles
    ends = [min(64, start + rows) for start in range(0, 64, rows) for _ in range(rows)][:64]
    assert exponentials(scop) == sum(granule * ceil(end / granule) for end in ends)


def test_one_loop_over_blocks_holds_both_contractions(attention: Any) -> None:
    scop = attention(1, 20, 140, 4).scop()
    choose_schedule(scop, SMALL_CACHE["avx512"], 1)
    products = {
        s.sym_name.data for s in scop.statements if s.reduction is not None and len(s.sources) == 3
    }
    _, tree = apply_schedule(scop, [parse_step(t) for t in scop.schedule.data.splitlines()])
    around = [b for b in bands_of(tree) if products <= {n for n, _ in b.exprs}]
    assert len(products) == 2
    assert [b.axis.startswith("i") for b in around] == [True, True]  # rows, blocks of keys


CASES = [
    ("avx512", (1, 20, 150), "", True),
    ("avx2", (2, 3, 70), "i1", False),
    pytest.param("avx512", (1, 60, 130), "f32", True, marks=pytest.mark.slow),
    pytest.param("scalar", (2, 5, 70), "", False, marks=pytest.mark.slow),
    pytest.param("scalar", (1, 70, 140), "i1", True, marks=pytest.mark.slow),
    pytest.param("avx2", (1, 130, 150), "", True, marks=pytest.mark.slow),
    pytest.param("avx512", (2, 57, 193), "", False, marks=pytest.mark.slow),
    pytest.param("avx2", (3, 1, 70), "", False, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("machine", "sizes", "mask", "causal"), CASES)
def test_scheduled_loops_keep_the_meaning(
    attention: Any, machine: str, sizes: tuple[int, int, int], mask: str, causal: bool
) -> None:
    kernel = attention(*sizes, 3, mask, causal)
    scop = kernel.scop()
    choose_schedule(scop, SMALL_CACHE[machine], 2)
    kernel.check_lowered(scop)


def test_long_sequences_need_memory_for_a_block(attention: Any, machines: dict[str, Any]) -> None:
    """No array grows with the product of queries and keys, and none on the stack with the keys."""
    keys = 16384
    scop = attention(2, keys, keys, 64).scop()
    choose_schedule(scop, machines["avx512"], 2)
    func = lower_scop(scop)
    roles = [role.data for role in func.attributes["tilecast.roles"]]
    scratch = [a.type for a, role in zip(func.args, roles, strict=True) if role == "scratch"]
    local = [op.memref.type for op in func.walk() if isinstance(op, memref.AllocaOp)]
    assert all(prod(type.get_shape()) <= 2 * keys * 64 for type in scratch)
    assert sum(4 * prod(type.get_shape()) for type in local) < machines["avx512"].l2_bytes
