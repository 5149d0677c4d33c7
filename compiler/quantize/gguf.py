"""Tensors of a GGUF file: quantized ones with their integers as they are, others as floats.

`tilecast.from_gguf(path)` reads them by the names that the file gives them, `tilecast.with_gguf`
puts them into a model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ...dialects.errors import InvalidInputError
from ...dialects.quant import IntegerElement, QuantizedTensor, parse_format
from ...dialects.quant.scale_types import SCALE_TYPES
from .gguf_blocks import BLOCK_TYPES, BlockType, zero_points
from .gguf_header import check_header
from .model import with_tensors

Floats = npt.NDArray[np.float32]
PLAIN = {"F32": np.float32, "F16": np.float16, "F64": np.float64}
Tensors = dict[str, QuantizedTensor | Floats]


def from_gguf(path: str | Path) -> Tensors:
    """All tensors of the file: a QuantizedTensor [N, K] for block types, else a float32 array.

    InvalidInputError where it is no GGUF file, is truncated, or has types that are not known (all
    are named). Needs the package `gguf` (`pip install tilecast[gguf]`).
    """
    found: Tensors = {}
    unknown: list[str] = []
    for tensor in _tensors(Path(path)):
        kind, name = tensor.tensor_type.name, str(tensor.name)
        shape = tuple(int(n) for n in reversed(tensor.shape))
        if kind in BLOCK_TYPES:
            found[name] = quantized_tensor(name, BLOCK_TYPES[kind], tensor.data, shape)
        elif kind in PLAIN or kind == "BF16":
            found[name] = _floats(kind, tensor.data, shape)
        else:
            unknown.append(f"{name} ({kind})")
    if unknown:
        known = ", ".join((*PLAIN, "BF16", *BLOCK_TYPES))
        raise InvalidInputError(
            f"{path}: no rule for the types of {', '.join(unknown)}; known: {known}"
        )
    return found


def quantized_tensor(
    name: str, kind: BlockType, data: npt.NDArray[Any], shape: tuple[int, ...]
) -> QuantizedTensor:
    """The blocks of a matrix [N, K] as codes, scales and zero points."""
    if len(shape) != 2 or 0 in shape or shape[1] % kind.elements:
        raise InvalidInputError(
            f"{name}: expected a matrix with rows of a multiple of {kind.elements}, found {shape}"
        )
    rows, columns = shape
    blocks = np.ascontiguousarray(data).view(np.uint8).reshape(-1, kind.bytes)
    if blocks.shape[0] * kind.elements != rows * columns:
        raise InvalidInputError(f"{name}: {blocks.shape[0]} blocks do not fill {shape}")
    decoded = kind.decode(blocks)
    format = parse_format(kind.format)
    scales, zeros = decoded.scales, None
    if decoded.minima is not None:
        scales, zeros = zero_points(scales, decoded.minima)
    groups = (rows, format.groups(columns))
    return QuantizedTensor(
        format,
        decoded.codes.reshape(rows, columns),
        SCALE_TYPES[format.scale].encode(scales.reshape(groups)),
        None if zeros is None else zeros.reshape(groups),
        None if isinstance(format.element, IntegerElement) else format.element.levels,
    )


def with_gguf(model: Any, path: str | Path, rename: Callable[[str], str | None]) -> Any:
    """A copy of `model` (a torch.nn.Module) with the tensors of a GGUF file.

    `rename` gives the parameter for each tensor name, or None to leave it out. Weights of linear
    layers keep their codes; others (embeddings, norms) take the values.
    """
    linear: dict[str, QuantizedTensor] = {}
    plain: dict[str, torch.Tensor] = {}
    layers = {f"{n}.weight" for n, part in model.named_modules() if type(part) is torch.nn.Linear}
    for name, tensor in from_gguf(path).items():
        parameter = rename(name)
        if parameter is None:
            continue
        if isinstance(tensor, QuantizedTensor) and parameter in layers:
            linear[parameter] = tensor
        else:
            values = tensor.dequantize() if isinstance(tensor, QuantizedTensor) else tensor
            plain[parameter] = torch.from_numpy(np.ascontiguousarray(values))
    found = with_tensors(model, linear)
    _check_plain(model, plain)
    with torch.no_grad():
        state = dict(found.state_dict(keep_vars=True))
        for parameter, value in plain.items():
            state[parameter].copy_(value)
    return found


def _check_plain(model: Any, plain: Mapping[str, torch.Tensor]) -> None:
    state = model.state_dict()
    for name, value in plain.items():
        expected = tuple(state[name].shape) if name in state else None
        if expected != tuple(value.shape):
            raise InvalidInputError(
                f"{name}: the model has {expected or 'no such parameter'}, the file "
                f"{tuple(value.shape)}"
            )


def _tensors(path: Path) -> list[Any]:
    try:
        from gguf import GGUFReader
    except ImportError as error:
        raise InvalidInputError("GGUF files need: pip install 'tilecast[gguf]'") from error
    if not path.is_file():
        raise InvalidInputError(f"no such file: {path}")
    check_header(path)
    try:
        return list(GGUFReader(path).tensors)
    except Exception as error:  # the reader raises whatever it meets first in a damaged file
        raise InvalidInputError(
            f"{path} is no GGUF file, or is damaged: {type(error).__name__}: {error}"
        ) from error


def _floats(kind: str, data: npt.NDArray[Any], shape: tuple[int, ...]) -> Floats:
    raw = np.ascontiguousarray(data)
    if kind == "BF16":
        bits = raw.view(np.uint16).astype(np.uint32) << 16
        return bits.view(np.float32).reshape(shape)
    return raw.view(PLAIN[kind]).astype(np.float32).reshape(shape)
