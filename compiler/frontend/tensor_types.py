"""Types across the border: torch dtypes, IR element types, numpy arrays and C identifiers."""

from __future__ import annotations

import keyword
import re
from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import torch
from xdsl.dialects.builtin import bf16, f16, f32, f64, i1, i8, i16, i32, i64
from xdsl.ir import Attribute

from ...dialects.errors import UnsupportedOperatorError
from ...dialects.graph import Tensor, tensor_of
from ...dialects.integers import ui8

ELEMENTS: dict[torch.dtype, Attribute] = {
    torch.float16: f16,
    torch.bfloat16: bf16,
    torch.float32: f32,
    torch.float64: f64,
    torch.bool: i1,
    torch.uint8: ui8,
    torch.int8: i8,
    torch.int16: i16,
    torch.int32: i32,
    torch.int64: i64,
}
DTYPES: dict[Attribute, torch.dtype] = {element: dtype for dtype, element in ELEMENTS.items()}
FLOATS = (f16, bf16, f32, f64)
NARROW = (f16, bf16)

# what an argument of a C function cannot be called
C_KEYWORDS = frozenset(
    (
        "auto",
        "break",
        "case",
        "char",
        "const",
        "continue",
        "default",
        "do",
        "double",
        "else",
        "enum",
        "extern",
        "float",
        "for",
        "goto",
        "if",
        "inline",
        "int",
        "long",
        "register",
        "restrict",
        "return",
        "short",
        "signed",
        "sizeof",
        "static",
        "struct",
        "switch",
        "typedef",
        "union",
        "unsigned",
        "void",
        "volatile",
        "while",
        "main",
    )
)


def element_type(dtype: torch.dtype) -> Attribute:
    """The IR element type of `dtype`; UnsupportedOperatorError where there is none yet."""
    if dtype not in ELEMENTS:
        known = ", ".join(str(d).removeprefix("torch.") for d in ELEMENTS)
        raise UnsupportedOperatorError(
            f"element type {str(dtype).removeprefix('torch.')} is not supported yet "
            f"(supported: {known}); convert the model first, for example with model.float()"
        )
    return ELEMENTS[dtype]


def tensor_type(fake: Any, shape: Sequence[int]) -> Tensor:
    """The IR type of a torch tensor (fake or real) whose extents are `shape`."""
    return tensor_of(element_type(fake.dtype), shape)


def has_static_shape(fake: Any) -> bool:
    """Whether every extent is a number."""
    return all(isinstance(extent, int) for extent in fake.shape)


def to_numpy(tensor: torch.Tensor) -> npt.NDArray[np.generic]:
    """A contiguous numpy copy or view of a parameter, buffer, constant or result."""
    element_type(tensor.dtype)
    dense = tensor.detach().cpu().contiguous()
    if dense.dtype == torch.bfloat16:
        return dense.view(torch.uint16).numpy().view(ml_dtypes.bfloat16)
    array: npt.NDArray[np.generic] = dense.numpy()
    return array


def array_element(array: npt.NDArray[np.generic]) -> Attribute:
    """The IR element type of a numpy array."""
    return element_type(getattr(torch, array.dtype.name))


def c_identifier(name: str) -> str:
    """`name` with everything that C does not allow in an identifier replaced by `_`."""
    cleaned = re.sub(r"\W", "_", name, flags=re.ASCII) or "_"
    if cleaned[0].isdigit() or cleaned in C_KEYWORDS or keyword.iskeyword(cleaned):
        cleaned = f"_{cleaned}"
    return cleaned


def unique(name: str, taken: set[str]) -> str:
    """`name`, or `name_1`, ... where it is taken already; the answer is added to `taken`."""
    candidate, serial = name, 0
    while candidate in taken:
        serial += 1
        candidate = f"{name}_{serial}"
    taken.add(candidate)
    return candidate
