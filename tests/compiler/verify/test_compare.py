"""The error bound: what passes, what fails, and what the report says about it."""

from __future__ import annotations

import numpy as np
import pytest
from tilecast.compiler.verify.compare import allowed_error, compare
from tilecast.compiler.verify.report import VerifyReport
from tilecast.dialects.errors import VerifyFailure

RNG = np.random.default_rng(0)
REFERENCE = RNG.normal(size=(7, 5))
EAGER = REFERENCE.astype(np.float32)


def check(found, reference=REFERENCE, eager=EAGER, length=1):
    return compare("kernel", "k", np.asarray(found), reference, np.asarray(eager), length)


def test_rounded_reference_passes():
    result = check(EAGER)
    assert result.passed
    assert result.max_ulp <= 0.5
    assert result.eager_ratio == 1.0


def test_wrong_element_fails_and_is_named():
    found = EAGER.copy()
    found[3, 2] += 1e-3
    result = check(found)
    assert not result.passed
    assert result.index == (3, 2)
    assert result.found == pytest.approx(float(found[3, 2]))
    with pytest.raises(VerifyFailure, match=r"kernel k, element \[3, 2\]: found .* expected"):
        VerifyReport((result,)).check()


def test_four_times_the_error_of_eager_passes_and_more_fails():
    eager = EAGER + np.float32(1e-3)
    assert check(EAGER + np.float32(3.9e-3), eager=eager).passed
    assert not check(EAGER + np.float32(4.2e-3), eager=eager).passed


def test_bound_grows_with_the_length_of_sums():
    typical = float(np.sqrt(np.mean(REFERENCE**2)))
    error = np.float32(40 * np.finfo(np.float32).eps * typical)
    assert not check(EAGER + error, length=1).passed
    assert check(EAGER + error, length=1024).passed


def test_bound_is_finer_for_double():
    found = REFERENCE + 1e-9
    assert not check(found, eager=REFERENCE).passed
    assert check(REFERENCE, eager=REFERENCE).passed


def test_stored_bound_is_the_one_of_compare():
    absolute, relative = allowed_error(REFERENCE, EAGER, 64)
    found = EAGER.copy()
    found[0, 0] = REFERENCE[0, 0] + 0.99 * max(absolute, relative * abs(REFERENCE[0, 0]))
    assert check(found, length=64).passed
    found[0, 0] = REFERENCE[0, 0] + 1.05 * max(absolute, relative * abs(REFERENCE[0, 0]))
    assert not check(found, length=64).passed


SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, 1e300])


@pytest.mark.parametrize(
    ("found", "passes"),
    [
        ([np.nan, np.inf, -np.inf, 0.0, np.inf], True),
        ([0.0, np.inf, -np.inf, 0.0, np.inf], False),
        ([np.nan, np.nan, -np.inf, 0.0, np.inf], False),
        ([np.nan, -np.inf, -np.inf, 0.0, np.inf], False),
        ([np.nan, np.inf, 3e38, 0.0, np.inf], False),
        ([np.nan, np.inf, -np.inf, np.nan, np.inf], False),
        ([np.nan, np.inf, -np.inf, 0.0, 3e38], False),
    ],
)
def test_nan_and_infinities_must_be_the_same(found, passes):
    with np.errstate(over="ignore"):
        eager = SPECIAL.astype(np.float32)
    result = check(np.array(found, np.float32), SPECIAL, eager)
    assert result.passed is passes
    if not passes:
        with pytest.raises(VerifyFailure):
            VerifyReport((result,)).check()


def test_overflow_that_eager_has_too_is_allowed():
    reference = np.array([1.0, 2.0])
    native = np.array([np.inf, 2.0], np.float32)
    assert not check(np.array([np.inf, 2.0], np.float32), reference, reference).passed
    assert check(native, reference, native).passed
    assert check(native, np.array([np.inf, 2.0]), native).passed


def test_the_largest_float_does_not_widen_the_bound_of_the_others():
    reference = np.array([np.finfo(np.float64).max, 1.0])
    found = np.array([np.finfo(np.float64).max, np.nan])
    assert not check(found, reference, reference).passed


def test_integers_are_exact():
    want = np.arange(6).reshape(2, 3)
    assert check(want, want, want).passed
    result = check(want + (want == 4), want, want)
    assert not result.passed
    assert (result.index, result.found, result.expected) == ((1, 1), 5.0, 4.0)


def test_index_that_follows_float32_rounding_passes():
    assert check(np.array([3]), np.array([4]), np.array([3])).passed


def test_booleans_are_exact():
    want = np.array([True, False])
    assert check(want, want, want).passed
    assert not check(~want, want, want).passed


def test_empty_output_passes():
    empty = np.zeros((0, 3), np.float32)
    assert check(empty, empty.astype(np.float64), empty).passed


def test_report_prints_a_row_per_output_and_survives_json():
    good, bad = check(EAGER), check(EAGER + 1)
    report = VerifyReport((good, bad), seed=3)
    assert not report.passed
    assert str(report).count("FAILED") == 1
    assert "2 outputs checked, 1 failed (seed 3)" in str(report)
    assert VerifyReport.from_json(report.to_json()) == report
