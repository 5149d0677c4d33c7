"""What to do about an operator without a rule: by what kind it is of, else by its name.

in:  the operator's node, and the name under which the user knows it
out: one line of advice
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

import torch
from torch.fx import Node

EAGER = 'torch.compile(model, backend="tilecast") leaves it to eager'
RANDOM = "random numbers are refused: give them to the model as an input"
SIZED = "the shape of its result depends on the data: keep the shape, with a mask or torch.where"
TAGS = {
    torch.Tag.nondeterministic_seeded: RANDOM,
    torch.Tag.dynamic_output_shape: SIZED,
}
KINDS = (
    (
        r"_?fft_|stft|istft|real|imag|complex|conj|polar|view_as_(real|complex)",
        "no rule for complex numbers here: compute with real and imaginary parts",
    ),
    (
        r"_?linalg_|cholesky|lu_|_lu|qr|svd|geqrf|orgqr|ormqr|triangular_solve|inverse|det|logdet",
        f"decompositions of matrices are left to PyTorch: do it before the model, or {EAGER}",
    ),
    (r".*sparse|_?to_dense|coalesce", "sparse tensors are not supported: use dense ones"),
    (r"_?unique|nonzero|masked_select|bincount|histc", SIZED),
)
LIKE = 0.75  # least likeness of names that are worth mentioning


def bare_name(operator: str) -> str:
    """linear for "aten.linear.default"."""
    return operator.split(".")[1] if operator.count(".") else operator


def advice_for(node: Node, operator: str, known: Iterable[str]) -> str:
    """What helps with `operator`, which `node` calls or comes from; `known` ones have rules."""
    name = bare_name(operator)
    overload = _overload(operator) or node.target
    for tag in getattr(overload, "tags", ()):
        if tag in TAGS:
            return TAGS[tag]
    for pattern, advice in KINDS:
        if re.match(pattern, name):
            return advice
    names = {bare_name(k): k for k in known}
    near = [names[n] for n in difflib.get_close_matches(name, names, 3, LIKE) if n != name]
    if near:
        return f"operators of similar name that are supported: {', '.join(near)}"
    return f"write it with other operators, or {EAGER}"


def _overload(operator: str) -> object | None:
    """The operator called so, if torch has it."""
    found: object = torch.ops
    for part in operator.split("."):
        found = getattr(found, part, None)
    return found
