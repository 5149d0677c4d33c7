"""Whether rounding errors explain a result that is outside of the bound.

A comparison, a rounding or a sort of two numbers closer than their errors may go either way, and
everything after it is another number. Sums that cancel have errors of the size of their terms,
which the bound on their result does not know. Such results are counted apart, and never as right.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from tilecast.compiler.frontend.tensor_types import to_numpy
from tilecast.compiler.verify.compare import allowed_error
from tilecast.compiler.verify.definite import DefiniteInterpreter
from tilecast.compiler.verify.eager import DoubleInterpreter, run_program
from tilecast.compiler.verify.near_ties import possible_results
from tilecast.dialects.reference.number_types import is_float_type
from torch import Tensor

from ..conformance.batch import Case

Array = npt.NDArray[Any]
CANCELLED = 4.0  # times the bound: what is left of sums that cancel, such as a mean after a norm


def is_near_tie(case: Case, inputs: list[Tensor], found: list[Any]) -> bool:
    """Whether each element of `found` lies among what the program gives under rounding errors."""
    wide = run_program(case.program, [t.clone() for t in inputs], DoubleInterpreter)
    native = run_program(case.program, [t.clone() for t in inputs], DefiniteInterpreter)
    runs = possible_results(case.program, inputs, 0)
    length = case.artifact.reduction_length
    for k, results in enumerate(zip(found, wide, native, strict=True)):
        got, reference, eager = map(to_numpy, results)
        if not is_among(got, reference, eager, [to_numpy(run[k]) for run in runs], length):
            return False
    return True


def is_among(got: Array, reference: Array, eager: Array, others: list[Array], length: int) -> bool:
    """Whether every element is between the least and the largest, or off by what is allowed and
    by their distance: a few runs do not show the extremes."""
    if got.shape != reference.shape:
        return False
    allowed: Array | float = 0.0
    if is_float_type(got.dtype):
        absolute, relative = allowed_error(reference, eager.astype(got.dtype), length)
        allowed = np.maximum(absolute, relative * np.abs(reference.astype(np.float64)))
    # eager's own result, too: one bf16 more or less, and another integer, is no error
    every = [array.astype(np.float64) for array in (reference, eager, *others)]
    low, high, value = np.min(every, 0), np.max(every, 0), got.astype(np.float64)
    slack = CANCELLED * allowed + (high - low if is_float_type(got.dtype) else 0)
    return bool(np.all((value >= low - slack) & (value <= high + slack)))
