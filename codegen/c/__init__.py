"""C emission: one rule per op."""

from ..lowbit import block_rules, dot_rules, unpack_rules
from . import (
    cast_rules,
    compare_rules,
    constants,
    control_rules,
    elementary_rules,
    exchange_rules,
    float_rules,
    float_width_rules,
    gather_rules,
    integer_rules,
    logistic_rules,
    math_rules,
    matrix_rules,
    memory_rules,
    pair_rules,
    parallel_rules,
    reduction_rules,
    shuffle_rules,
    vector_rules,
)
from .program import emit_program, program_weight_symbols
from .registry import check_emissible
from .unit import emit_kernel, emit_prototypes, emit_unit

__all__ = [
    "check_emissible",
    "emit_kernel",
    "emit_program",
    "emit_prototypes",
    "emit_unit",
    "program_weight_symbols",
]

_RULES = (
    cast_rules,
    compare_rules,
    constants,
    control_rules,
    elementary_rules,
    exchange_rules,
    float_rules,
    float_width_rules,
    gather_rules,
    integer_rules,
    logistic_rules,
    math_rules,
    matrix_rules,
    memory_rules,
    pair_rules,
    parallel_rules,
    reduction_rules,
    shuffle_rules,
    unpack_rules,
    block_rules,
    dot_rules,
    vector_rules,
)
"""The modules that register emission rules when imported."""
