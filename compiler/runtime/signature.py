"""How a compiled model is called: its tensors, and the Python structure around them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import TreeSpec, treespec_dumps, treespec_loads

from ...dialects.errors import PackageError
from ...dialects.sizes import Size, Symbol, has_symbols, plain_objects

DTYPES: dict[str, torch.dtype] = {
    "float64": torch.float64,
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "int64": torch.int64,
    "int32": torch.int32,
    "int16": torch.int16,
    "int8": torch.int8,
    "uint8": torch.uint8,
    "bool": torch.bool,
}


@dataclass(frozen=True)
class TensorSpec:
    """A dense row-major tensor: `dtype` is the name that torch and numpy share.

    An extent that is known at run time only is a `Size`.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def torch_dtype(self) -> torch.dtype:
        """The torch type."""
        return DTYPES[self.dtype]

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Size of the data."""
        return self.elements * self.torch_dtype.itemsize

    @property
    def is_dynamic(self) -> bool:
        """Whether some extent is known at run time only."""
        return has_symbols(self.shape)

    def to_json(self) -> dict[str, Any]:
        """Plain data; sizes as text."""
        shape = [str(n) if isinstance(n, Size) else n for n in plain_objects(self.shape)]
        return {"name": self.name, "dtype": self.dtype, "shape": shape}

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class OutputLeaf:
    """One leaf of what the model returns: a result of the program, an input, or a constant."""

    kind: Literal["result", "input", "constant"]
    index: int = 0
    constant: int | float | bool | str | None = None


@dataclass(frozen=True)
class Signature:
    """Inputs and results of the program, and the pytrees of (args, kwargs) and of the output.

    `positions[k]` is where tensor input k stands among the flattened leaves of (args, kwargs);
    `constants` holds every other leaf, by position, as it was when the model was traced;
    `mutations` has what becomes of tensor inputs that the model changes in place, by input number.
    `sizes` are known at run time only: the program takes them in one array after the inputs.
    """

    inputs: tuple[TensorSpec, ...]
    results: tuple[TensorSpec, ...]
    leaves: tuple[OutputLeaf, ...]
    positions: tuple[int, ...]
    constants: Mapping[int, Any]
    in_spec: TreeSpec
    out_spec: TreeSpec
    mutations: tuple[tuple[OutputLeaf, int], ...] = ()
    sizes: tuple[Symbol, ...] = ()

    @property
    def computed(self) -> tuple[OutputLeaf, ...]:
        """The leaves of the output, then the new values of changed inputs."""
        return (*self.leaves, *(leaf for leaf, _ in self.mutations))

    @property
    def changed(self) -> tuple[int, ...]:
        """Where changed inputs stand among the flattened leaves of (args, kwargs)."""
        return tuple(self.positions[k] for _, k in self.mutations)

    def updated_in_place(self, pairs: Iterable[tuple[int, int]]) -> dict[int, int]:
        """Result -> input for those of `pairs` that are an input's new value and nothing else."""
        returned = [leaf.index for leaf in self.computed if leaf.kind == "result"]
        new = {(k, leaf.index) for leaf, k in self.mutations if leaf.kind == "result"}
        return {j: k for k, j in pairs if (k, j) in new and returned.count(j) == 1}

    def values(self, results: Sequence[Tensor], inputs: Sequence[Tensor]) -> list[Any]:
        """The leaves of the output; inputs that the model changes get their new values."""
        changed = {k for _, k in self.mutations}

        def value(leaf: OutputLeaf) -> Any:
            if leaf.kind == "result":
                return results[leaf.index]
            if leaf.kind == "constant":
                return leaf.constant
            # what the model returned is the input as it was
            return inputs[leaf.index].clone() if leaf.index in changed else inputs[leaf.index]

        with torch.no_grad():
            found = [value(leaf) for leaf in self.computed]
            for (_, k), new in zip(self.mutations, found[len(self.leaves) :], strict=True):
                inputs[k].copy_(new)
        return found[: len(self.leaves)]

    def to_json(self) -> dict[str, Any]:
        """Plain data; a pytree of types unknown to torch is left out (None)."""
        return {
            "inputs": [spec.to_json() for spec in self.inputs],
            "results": [spec.to_json() for spec in self.results],
            "leaves": [asdict(leaf) for leaf in self.leaves],
            "mutations": [[asdict(leaf), k] for leaf, k in self.mutations],
            "sizes": [str(symbol) for symbol in self.sizes],
            "positions": list(self.positions),
            "constants": {str(k): v if is_plain(v) else repr(v) for k, v in self.constants.items()},
            "in_spec": dump_spec(self.in_spec),
            "out_spec": dump_spec(self.out_spec),
        }

    @staticmethod
    def from_json(
        data: Mapping[str, Any], in_spec: TreeSpec | None = None, out_spec: TreeSpec | None = None
    ) -> Signature:
        """Back from `to_json`; the given specs win over the stored ones."""
        return Signature(
            inputs=tuple(tensor_from_json(item) for item in data["inputs"]),
            results=tuple(tensor_from_json(item) for item in data["results"]),
            leaves=tuple(OutputLeaf(**item) for item in data["leaves"]),
            positions=tuple(data["positions"]),
            constants={int(k): v for k, v in data["constants"].items()},
            in_spec=in_spec or load_spec(data["in_spec"]),
            out_spec=out_spec or load_spec(data["out_spec"]),
            mutations=tuple((OutputLeaf(**leaf), k) for leaf, k in data.get("mutations", ())),
            sizes=tuple(Symbol.parse(text) for text in data.get("sizes", ())),
        )


def is_plain(value: object) -> bool:
    """Whether JSON keeps `value` as it is."""
    return value is None or isinstance(value, bool | int | float | str)


def tensor_from_json(item: Mapping[str, Any]) -> TensorSpec:
    """The TensorSpec behind one JSON item."""
    return TensorSpec(item["name"], item["dtype"], tuple(Size.parse(str(n)) for n in item["shape"]))


def dump_spec(spec: TreeSpec) -> str | None:
    """A pytree as JSON text, None where a node type has no registered name."""
    try:
        return str(treespec_dumps(spec))
    except (NotImplementedError, TypeError):
        return None


def load_spec(text: str | None) -> TreeSpec:
    """A pytree from JSON text; it names types and never runs code."""
    if text is None:
        raise PackageError("the model returns or takes a Python type that cannot be stored")
    try:
        return treespec_loads(text)
    except (NotImplementedError, ValueError, KeyError, json.JSONDecodeError) as error:
        raise PackageError(f"the stored calling convention cannot be read: {error}") from error


def dtype_name(dtype: torch.dtype | np.dtype[Any] | str) -> str:
    """The shared name of a torch or numpy type."""
    return str(dtype).removeprefix("torch.")
