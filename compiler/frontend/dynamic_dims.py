"""`dynamic_shapes` as torch.export takes it, and as text for command lines.

"input_ids: batch=1..8, seq=1..256; mask: batch=1..8, seq=1..256" names, per argument, the leading
dims in order; `-` or a plain number is a dim that stays as it is. Equal names are one size.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

from torch import nn
from torch.export import Dim

from ...dialects.errors import OptionError

DIM = re.compile(r"(?P<name>[A-Za-z_]\w*)\s*=\s*(?P<low>\d+)\s*\.\.\s*(?P<high>\d+)")


def dynamic_shapes_for(module: nn.Module, given: Any) -> Any:
    """What torch.export is given: `given` itself, or what its text says for every argument."""
    if not isinstance(given, str):
        return given
    shapes = parse_dims(given)
    names = list(inspect.signature(module.forward).parameters)
    unknown = [name for name in shapes if name not in names]
    if unknown:
        raise OptionError(
            f"dynamic_shapes: the model has no argument {unknown[0]!r}; it has {', '.join(names)}"
        )
    return {name: shapes.get(name) for name in names}


def parse_dims(text: str) -> dict[str, dict[int, Any]]:
    """The dims of each argument that `text` names; OptionError where it does not parse."""
    known: dict[str, Any] = {}
    shapes: dict[str, dict[int, Any]] = {}
    for part in filter(None, (piece.strip() for piece in text.split(";"))):
        name, colon, dims = part.partition(":")
        if not colon:
            raise OptionError(f"dynamic_shapes: expected 'argument: dim, ...', found {part!r}")
        listed = enumerate(dim.strip() for dim in dims.split(","))
        shapes[name.strip()] = {d: _dim(dim, known) for d, dim in listed if _is_dynamic(dim)}
    return shapes


def _is_dynamic(text: str) -> bool:
    return text not in ("", "-") and not text.isdigit()


def _dim(text: str, known: dict[str, Any]) -> Any:
    found = DIM.fullmatch(text)
    if found is None:
        raise OptionError(
            f"dynamic_shapes: expected NAME=LOW..HIGH, '-' or a number for a dim, found {text!r}"
        )
    dim = Dim(found["name"], min=int(found["low"]), max=int(found["high"]))
    before = known.setdefault(found["name"], dim)
    if (before.min, before.max) != (dim.min, dim.max):
        raise OptionError(f"dynamic_shapes: {found['name']} has two different ranges")
    return before
