"""The kernel language: each feature against the Python function itself, errors at the line."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tilecast
from tilecast import f32, f64, i8, i32, i64, kernel
from tilecast.compiler.frontend.kernel_language import Kernel
from tilecast.dialects.errors import KernelError, LoweringError
from tilecast.dialects.poly import ScopOp
from tilecast.dialects.reference.loops import run_kernel
from tilecast.dialects.reference.poly import run_scop
from tilecast.passes.context import CompileContext
from tilecast.passes.registry import load_pass
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir.affine import AffineConstantExpr
from xdsl.parser import Parser

HALF = 0.5
WIDTH = 3


def through(module: ModuleOp, *passes: str) -> Any:
    """The only op of `module` after `passes`, each verified."""
    context = CompileContext()
    for name in passes:
        load_pass(name)().apply(context, module)
        module.verify()
    return module.body.block.first_op


def check_equals_python(source: Kernel, *arguments: Any, **sizes: int) -> None:
    """Run as Python, as a scop, and as loops; arrays must be bit-equal."""
    bound = source.bind(**sizes)
    expected = [np.array(a) for a in arguments]
    values = iter(e if e.ndim else a for e, a in zip(expected, arguments, strict=True))
    named = [sizes[p.name] if p.is_size else next(values) for p in source.parameters]
    source(*named)

    module = bound.module()
    module.verify()
    again = Parser(CompileContext(), str(module)).parse_module()
    again.verify()
    for text in (module, again):  # what was built, and what its text says
        scop = through(text, "extract-affine")
        assert isinstance(scop, ScopOp)
        actual = [np.array(a) for a in arguments]
        run_scop(scop, actual)
        for one, other in zip(actual, expected, strict=True):
            np.testing.assert_array_equal(one, other)
        func = through(text, "lower-scop")
        assert isinstance(func, FuncOp)
        actual = [np.array(a) for a in arguments]
        scratch = [
            np.empty(a.type.get_shape())  # type: ignore[attr-defined]
            for a in list(func.body.block.args)[len(actual) :]
        ]
        run_kernel(func, [*actual, *scratch])
        for one, other in zip(actual, expected, strict=True):
            np.testing.assert_array_equal(one, other)


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(7).uniform(-2, 2, shape)


@kernel
def triangle(n: int, A: f64["n", "n"], x: f64["n"]) -> None:
    for i in range(n):
        for j in range(i + 1, n):
            A[i, j] += x[i] * x[j]
        for j in range(max(0, i - 2), min(n, i + 3)):
            x[j] = x[j] + A[i, j]


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_bounds_may_depend_on_outer_loops(n: int) -> None:
    check_equals_python(triangle, random(n, n), random(n), n=n)


def test_steps_count_up_and_down() -> None:
    @kernel
    def sums(n: int, x: f64["n"], y: f64["n"]) -> None:
        for i in range(n - 2, -1, -1):
            x[i] = y[i] + x[i + 1]
        for i in range(1, n, 3):
            for j in range(i, n, 2):
                y[j] = y[j] + x[i]
        for i in range(n - 1, 1, -2):
            y[i] = y[i - 2] * 2.0

    check_equals_python(sums, random(11), random(11), n=11)


@kernel
def branches(n: int, A: f64["n", "n"]) -> None:
    for i in range(n):
        for j in range(n):
            if i < j and j <= n - 2:
                A[i, j] = 1.0
            elif i == j or i + j == n:
                A[i, j] = A[i, j] + 2.0
            else:
                if not (j % 2 == 0):  # noqa: SIM201
                    A[i, j] *= 3.0
                if i != 2:
                    A[i, j] -= 0.25
            if 0 < i - j < 3:
                A[i, j] = A[i - 1, j]


def test_branches_split_the_domain() -> None:
    check_equals_python(branches, random(7, 7), n=7)


@kernel
def scalars(n: int, a: f64, x: f64["n"], out: f64["n"]) -> None:
    scale = 1.0 / n
    shift = HALF * WIDTH
    for i in range(n):
        total = 0.0
        for j in range(i + 1):
            total += x[j] * a
        old = total
        total = old * scale + shift
        out[i] = total


def test_scalars_are_variables() -> None:
    check_equals_python(scalars, 1.25, random(6), np.zeros(6), n=6)


@kernel
def local_arrays(n: int, x: f64["n"], y: f32["n"]) -> None:
    square = np.zeros((n, n))
    single = np.empty(n, np.float32)
    for i in range(n):
        single[i] = f32(x[i])
        for j in range(i):
            square[i, j] = x[i] + x[j]
    for i in range(n):
        for j in range(n):
            x[i] += square[j, i]
        y[i] = single[n - 1 - i] * y[i]


def test_local_arrays() -> None:
    check_equals_python(local_arrays, random(5), random(5).astype(np.float32), n=5)


@kernel
def mixed_types(n: int, c: i8["n"], t: i32["n"], w: i64["n"], x: f64["n"]) -> None:
    for i in range(n):
        t[i] = max(t[i], i32(c[i]) + (1 if c[i] == 3 and t[i] < 4 else 0))
        w[i] = i64(t[i]) * 2 + i
        x[i] = abs(x[i]) + f64(t[i]) / (i + 1.0) - 2 * i


def test_types_convert_where_it_is_said() -> None:
    c = np.array([0, 3, 3, 2, 1], np.int8)
    t = np.array([1, 2, 9, -4, 0], np.int32)
    check_equals_python(mixed_types, c, t, np.zeros(5, np.int64), random(5), n=5)


@kernel
def functions(n: int, x: f64["n"], y: f64["n", "n"]) -> None:
    for i in range(n):
        x[i] = math.sqrt(abs(x[i])) + np.maximum(x[i], 0.5) - min(x[i], 0.25, -1.0)
        for j in range(n):
            y[i][j] = -y[i][j] if x[i] > y[j][i] or not x[j] >= 1.0 else +x[j]


def test_functions_and_choices() -> None:
    check_equals_python(functions, random(6), random(6, 6), n=6)


def test_elementary_functions_are_close() -> None:
    @kernel
    def elementary(n: int, x: f64["n"]) -> None:
        for i in range(n):
            x[i] = math.exp(x[i]) + math.log(2.0 + x[i] * x[i]) + pow(abs(x[i]), 1.5) + x[i] ** 2

    module = elementary.bind(n=5).module()
    actual, expected = random(5), random(5)
    run_scop(through(module, "extract-affine"), [actual])
    elementary(5, expected)
    np.testing.assert_allclose(actual, expected, rtol=1e-14)


def test_extents_are_affine_in_the_sizes() -> None:
    @kernel
    def edges(n: int, m: int, x: f64["n + 1", "2 * m", 4]) -> None:
        x[n, 2 * m - 1, 3] = 1.0

    extents = edges.bind(n=4, m=2).extents()["x"]
    assert [e.value for e in extents if isinstance(e, AffineConstantExpr)] == [5, 4, 4]
    assert [str(e) for e in edges.bind(m=2).extents()["x"]] == ["(s0 + 1)", "4", "4"]
    check_equals_python(edges, random(5, 4, 4), n=4, m=2)


def test_the_function_stays_a_python_function() -> None:
    x = np.ones(3)
    tilecast.kernel(scalars.function)(3, 2.0, np.ones(3), x)
    np.testing.assert_allclose(x, [2 / 3 + 1.5, 4 / 3 + 1.5, 3.5])
    assert scalars.__name__ == "scalars"


# --- refusals -------------------------------------------------------------------------------------


def data_condition(n: int, x: f64["n"]) -> None:
    for i in range(n):
        if x[i] > 0.0:  # HERE
            x[i] = 0.0


def quadratic_subscript(n: int, x: f64["n"]) -> None:
    for i in range(n):
        x[i * i] = 0.0  # HERE


def unknown_name(n: int, x: f64["n"]) -> None:
    for i in range(n):
        x[i] = missing  # HERE


def while_loop(n: int, x: f64["n"]) -> None:
    while n > 0:  # HERE
        x[0] = 1.0


def wrong_rank(n: int, x: f64["n", "n"]) -> None:
    for i in range(n):
        x[i] = 1.0  # HERE


def mixed_floats(n: int, x: f64["n"], y: f32["n"]) -> None:
    for i in range(n):
        x[i] = x[i] + y[i]  # HERE


def unknown_function(n: int, x: f64["n"]) -> None:
    for i in range(n):
        x[i] = math.gamma(x[i])  # HERE


def list_loop(n: int, x: f64["n"]) -> None:
    for i in [0, 1]:  # HERE
        x[i] = 1.0


def parameter_assigned(n: int, a: f64, x: f64["n"]) -> None:
    a = 2.0  # HERE
    x[0] = a


def index_assigned(n: int, x: f64["n"]) -> None:
    for i in range(n):
        i = 2  # HERE
        x[i] = 1.0


def integer_division(n: int, t: i32["n"]) -> None:
    for i in range(n):
        t[i] = t[i] / 2  # HERE


def early_return(n: int, x: f64["n"]) -> None:
    x[0] = 1.0
    return  # HERE


def two_targets(n: int, x: f64["n"]) -> None:
    x[0] = x[1] = 1.0  # HERE


def read_before_assignment(n: int, x: f64["n"]) -> None:
    for i in range(n):
        x[i] = total  # HERE
        total = x[i]  # noqa: F841


def zero_step(n: int, x: f64["n"]) -> None:
    for i in range(0, n, 0):  # HERE
        x[i] = 1.0


REFUSED: list[tuple[Callable[..., Any], str]] = [
    (data_condition, "a if c else b"),
    (quadratic_subscript, "not affine"),
    (unknown_name, "not defined"),
    (while_loop, "no statement of the kernel language"),
    (wrong_rank, "2 dimensions, found 1"),
    (mixed_floats, "convert with f64"),
    (unknown_function, "callable are"),
    (list_loop, "for i in range"),
    (parameter_assigned, "use a local"),
    (index_assigned, "is an index"),
    (integer_division, "does not exist for i32"),
    (early_return, "cannot return early"),
    (two_targets, "Assign is no statement"),
    (read_before_assignment, "not defined"),
    (zero_step, "step of range is 0"),
]


@pytest.mark.parametrize(("function", "reason"), REFUSED, ids=lambda v: getattr(v, "__name__", ""))
def test_refusals_point_at_the_line(function: Callable[..., Any], reason: str) -> None:
    source = kernel(function)
    here = next(k for k, line in enumerate(source.source.lines) if "HERE" in line)
    with pytest.raises(KernelError) as caught:
        source.bind(n=4).module()
    message = str(caught.value)
    assert f"{__file__}:{source.source.first_line + here}: " in message
    assert reason in message
    assert source.source.lines[here].strip() in message


def test_accesses_outside_are_refused_at_the_line() -> None:
    @kernel
    def outside(n: int, x: f64["n"]) -> None:
        for i in range(n):
            x[i] = x[i + 1]

    module = outside.bind(n=8).module()
    with pytest.raises(LoweringError, match=r"x\[8\] is read.*memref<8xf64>") as caught:
        through(module, "extract-affine")
    assert re.search(rf"{re.escape(__file__)}:\d+: ", str(caught.value))


def test_annotations_are_checked() -> None:
    def plain(n: int, x) -> None: ...  # type: ignore[no-untyped-def]

    def wrong(n: int, x: list) -> None: ...  # type: ignore[type-arg]

    with pytest.raises(KernelError, match="no annotation"):
        kernel(plain)
    with pytest.raises(KernelError, match="annotated 'list'"):
        kernel(wrong)


def test_sizes_are_checked() -> None:
    assert triangle.bind().free_sizes == ("n",)
    with pytest.raises(KernelError, match="'m' is no integer parameter"):
        triangle.bind(n=3, m=4)
    with pytest.raises(KernelError, match="must be an int"):
        triangle.bind(n=2.0)  # type: ignore[arg-type]
    with pytest.raises(KernelError, match="would have the shape"):
        triangle.bind(n=0).module()
