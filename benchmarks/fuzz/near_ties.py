"""Whether rounding errors explain a result that is outside of the bound.

A comparison, a rounding or a sort of two numbers closer than their errors may go either way, and
everything after it is another number. Such results are counted apart, and never as right.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from tilecast.compiler.frontend.tensor_types import to_numpy
from tilecast.compiler.verify.compare import allowed_error
from tilecast.compiler.verify.eager import DoubleInterpreter, run_program
from tilecast.compiler.verify.near_ties import possible_results
from tilecast.dialects.reference.number_types import is_float_type

from ..conformance.batch import Case

Array = npt.NDArray[Any]


def is_near_tie(case: Case, found: list[Any]) -> bool:
    """Whether each element of `found` lies among what the program gives under rounding errors."""
    inputs = [tensor.clone() for tensor in case.sample.inputs]
    wide = run_program(case.program, [t.clone() for t in inputs], DoubleInterpreter)
    runs = possible_results(case.program, inputs, 0)
    length = case.artifact.reduction_length
    return all(
        is_among(to_numpy(got), to_numpy(reference), [to_numpy(run[k]) for run in runs], length)
        for k, (got, reference) in enumerate(zip(found, wide, strict=True))
    )


def is_among(got: Array, reference: Array, others: list[Array], length: int) -> bool:
    """Whether every element is between the least and the largest, or off by what is allowed."""
    if got.shape != reference.shape:
        return False
    slack: Array | float = 0.0
    if is_float_type(got.dtype):
        absolute, relative = allowed_error(reference, reference.astype(got.dtype), length)
        slack = np.maximum(absolute, relative * np.abs(reference.astype(np.float64)))
    every = [array.astype(np.float64) for array in (reference, *others)]
    low, high, value = np.min(every, 0), np.max(every, 0), got.astype(np.float64)
    return bool(np.all((value >= low - slack) & (value <= high + slack)))
