"""The matmul program as CUDA C++: right under emulation, planted errors are caught."""

from __future__ import annotations

import numpy as np
import pytest
from tilecast.codegen.cuda.tile.unit import emit_unit
from tilecast.compiler.cuda.emulated import EmulatedUnit, EmulationError
from tilecast.dialects.reference.tile import dtype_of, run_program
from tilecast.dialects.tile.atoms import BF16, F16, F32, I8
from tilecast.passes.tile.matmul import MatmulConfig, matmul_program

SHAPE = (35, 72)  # N, K: neither fills tiles


def slow(*values):  # type: ignore[no-untyped-def]
    return pytest.param(*values, marks=pytest.mark.slow)


def unit_text(element, config, shape=SHAPE) -> str:  # type: ignore[no-untyped-def]
    return emit_unit([matmul_program("matmul", element, shape, config)], "test")


def arrays(element, m, n, k):  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(m)
    lhs, rhs = (rng.integers(-3, 4, s).astype(dtype_of(element)) for s in ((m, k), (n, k)))
    result = np.zeros((m, n), np.int32 if element == I8 else dtype_of(element))
    total = np.full((m, n), 77, np.int32 if element == I8 else np.float32)
    return [lhs, rhs, result, total, np.zeros(64, np.int32), m]


@pytest.mark.parametrize(
    ("element", "config"),
    [
        (F16, MatmulConfig(1, 2, (1, 2, 2), 3)),
        slow(F16, MatmulConfig(2, 1, (2, 1, 1), 2, 3)),
        slow(BF16, MatmulConfig(2, 2, (1, 2, 1), 4)),
        slow(F32, MatmulConfig(1, 2, (1, 2, 2), 3)),
        (I8, MatmulConfig(1, 2, (1, 1, 1), 3, 2)),
    ],
    ids=["f16", "f16-split", "bf16", "tf32", "i8-split"],
)
def test_emulated_matmul_equals_the_interpreter(element, config) -> None:  # type: ignore[no-untyped-def]
    n, k = SHAPE
    program = matmul_program("matmul", element, SHAPE, config)
    unit = EmulatedUnit(emit_unit([program], "test"))
    for m in (1, 16, 37):
        given, wanted = arrays(element, m, n, k), arrays(element, m, n, k)
        unit.run("matmul", *given)
        run_program(program, wanted)
        np.testing.assert_array_equal(given[2], wanted[2])
        exact = given[0].astype(float) @ given[1].astype(float).T
        np.testing.assert_array_equal(given[2].astype(float), exact)


PLAIN = MatmulConfig(1, 2, (1, 2, 2), 3)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("__syncthreads();", ";", "race"),
        ("tc_wait<1>();", "tc_wait<2>();", "read before its copy was waited for"),
        ("i0 < m && ", "", "out of bounds of every array"),
        ("v < 3 ? v : 3", "v + 1", "read before it is written"),
    ],
    ids=["no barrier", "wait too early", "no bound", "first copy left out"],
)
def test_planted_errors_are_reported(old: str, new: str, message: str) -> None:
    text = unit_text(F16, PLAIN)
    n, k = SHAPE
    if old.startswith("v <"):  # nothing copies the first stage
        head, _, rest = text.partition("for (int step")
        text = (
            head.replace("tc_copy_async<16>(", "if (false) tc_copy_async<16>(")
            + "for (int step"
            + rest
        )
    else:
        assert old in text
        text = text.replace(old, new)
    with pytest.raises(EmulationError, match=message):
        EmulatedUnit(text).run("matmul", *arrays(F16, 17, n, k))


def test_copies_into_what_others_still_read_are_reported() -> None:
    """The barrier behind the copies of a step: what is read is there, what is written is in use."""
    shape = (35, 200)  # more steps than stages
    head, loop, body = unit_text(F16, PLAIN, shape).partition("for (int step")
    assert body.count("__syncthreads();") == body.count("tc_commit();") == 1
    body = body.replace("__syncthreads();", "").replace(
        "tc_commit();", "tc_commit(); __syncthreads();"
    )
    with pytest.raises(EmulationError, match=r"race at byte .* read, thread .* writes"):
        EmulatedUnit(head + loop + body).run("matmul", *arrays(F16, 17, *shape))


def test_a_wrong_swizzle_gives_wrong_numbers() -> None:
    text = unit_text(F16, PLAIN)
    head, _, rest = text.partition("tc_ldmatrix_x4(left")
    assert "tc_swizzle<3, 48>" in rest
    given = arrays(F16, 17, *SHAPE)
    broken = (
        head + "tc_ldmatrix_x4(left" + rest.replace("tc_swizzle<3, 48>", "tc_swizzle<4, 48>", 1)
    )
    try:
        EmulatedUnit(broken).run("matmul", *given)
    except EmulationError:
        return
    exact = given[0].astype(float) @ given[1].astype(float).T
    assert (given[2].astype(float) != exact).any()
