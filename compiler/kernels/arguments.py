"""The arguments of a compiled kernel: what each must be, and one clear error where it is not."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ...dialects.errors import InvalidInputError

Array = npt.NDArray[Any]
Kind = Literal["size", "scalar", "array"]
Role = Literal["in", "out", "inout"]


@dataclass(frozen=True)
class Argument:
    """One argument. `role` says what the kernel does to an array.

    Extents that depend on sizes are texts in `shape`, such as "n + 1"; `extents` then is the affine
    map from all sizes to the shape. A size that is `taken_from` (array, dim) is no argument of the
    caller: it is that extent of the array that was passed.
    """

    name: str
    kind: Kind
    dtype: str
    shape: tuple[int | str, ...] = ()
    role: Role = "in"
    extents: str | None = None
    taken_from: tuple[str, int] | None = None

    @property
    def is_written(self) -> bool:
        """Whether the kernel writes it."""
        return self.role != "in"

    def __str__(self) -> str:
        extents = f"[{', '.join(map(str, self.shape))}]" if self.kind == "array" else ""
        return f"{self.name}: {self.dtype}{extents}"

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Argument:
        """Back from `to_json`."""
        source = data["taken_from"]
        taken_from = None if source is None else tuple(source)
        return Argument(**{**data, "shape": tuple(data["shape"]), "taken_from": taken_from})


def named_values(
    kernel: str, arguments: Sequence[Argument], values: Sequence[Any], keywords: Mapping[str, Any]
) -> list[Any]:
    """The values of a call in the order of `arguments`; InvalidInputError as Python's TypeError."""
    names = [a.name for a in arguments]
    signature = f"{kernel}({', '.join(map(str, arguments))})"
    if len(values) > len(names):
        raise InvalidInputError(
            f"expected {len(names)} arguments, found {len(values)}: {signature}"
        )
    if not keywords and len(values) == len(names):
        return list(values)
    given = dict(zip(names, values, strict=False))
    for name, value in keywords.items():
        if name not in names or name in given:
            problem = "is given twice" if name in given else "is no argument"
            raise InvalidInputError(f"{name!r} {problem}: {signature}")
        given[name] = value
    missing = [name for name in names if name not in given]
    if missing:
        raise InvalidInputError(f"missing {', '.join(missing)}: {signature}")
    return [given[name] for name in names]


def checked_scalar(argument: Argument, value: Any) -> Array:
    """`value` as an array of rank 0; only conversions that keep the kind of number."""
    dtype = np.dtype(argument.dtype)
    kinds = "iuf" if dtype.kind == "f" else "iu"
    found = np.asarray(value)
    if found.ndim or found.dtype.kind not in kinds:
        raise InvalidInputError(
            f"{argument.name}: expected a number of type {argument.dtype}, found {described(value)}"
        )
    if dtype.kind != "f":
        limits = np.iinfo(dtype)
        if not limits.min <= int(found) <= limits.max:
            raise InvalidInputError(f"{argument.name}: {value} does not fit into {argument.dtype}")
    return found.astype(dtype)


def checked_size(argument: Argument, value: Any) -> int:
    """`value` as a size: a whole number from 0 to 2^31 - 1."""
    try:
        size = operator.index(value)
    except TypeError:
        size = -1
    if isinstance(value, bool) or not 0 <= size < 2**31:
        raise InvalidInputError(
            f"{argument.name}: expected a size from 0 to {2**31 - 1}, found {described(value)}"
        )
    return size


def checked_extent(name: str, value: Any, dim: int) -> int:
    """The extent of dim `dim` of `value`, an array."""
    if not isinstance(value, np.ndarray) or value.ndim <= dim:
        raise InvalidInputError(
            f"{name}: expected a NumPy array of more than {dim} dimensions, found "
            f"{described(value)}"
        )
    return int(value.shape[dim])


def checked_array(argument: Argument, value: Any, shape: tuple[int | str, ...]) -> Array:
    """`value`, which the kernel may read (and write) as it lies in memory."""
    if not isinstance(value, np.ndarray):
        raise InvalidInputError(
            f"{argument.name}: expected a NumPy array {argument}, found {described(value)}"
        )
    if value.dtype != argument.dtype or value.shape != shape:
        wanted = f"{argument.dtype}[{', '.join(map(str, shape))}]"
        raise InvalidInputError(f"{argument.name}: expected {wanted}, found {described(value)}")
    if not value.flags.c_contiguous:
        raise InvalidInputError(
            f"{argument.name}: expected a C-contiguous array, found strides {value.strides} of "
            f"{described(value)}; pass numpy.ascontiguousarray of it"
        )
    if not value.flags.aligned:
        raise InvalidInputError(f"{argument.name}: the array is not aligned; pass a copy of it")
    if argument.is_written and not value.flags.writeable:
        raise InvalidInputError(f"{argument.name}: the kernel writes it, but it is read-only")
    return value


def check_no_overlap(arguments: Sequence[Argument], arrays: Sequence[Array]) -> None:
    """InvalidInputError where an array that is written shares memory with another argument."""
    for k, (argument, array) in enumerate(zip(arguments, arrays, strict=True)):
        if not argument.is_written:
            continue
        for j, (other, found) in enumerate(zip(arguments, arrays, strict=True)):
            if j != k and np.may_share_memory(array, found):
                raise InvalidInputError(
                    f"{argument.name} is written and shares memory with {other.name}; pass a copy"
                )


def described(value: Any) -> str:
    """Type and shape of what was found, in a few words."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype}[{', '.join(map(str, value.shape))}]"
    return f"{type(value).__name__} {value!r}"[:80]
