"""Quantized weights in a `.pt2` file: the codes beside the program that has their values.

The extra file holds base64 text, which torch.export stores as it is, of a safetensors file: arrays
`NAME.codes`, `NAME.scales`, `NAME.zeros`, `NAME.levels`, and the format of NAME in its metadata.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load, save
from torch.export import ExportedProgram

from ...dialects.errors import InvalidInputError, OptionError
from ...dialects.quant import IntegerElement, QuantizedTensor, parse_format
from ...dialects.quant.scale_types import SCALE_TYPES
from .model import ATTRIBUTE, quantized_weights

EXTRA_FILE = "tilecast_quantized"
FORMATS = "formats"


def save_program(program: ExportedProgram, path: Path) -> None:
    """Write `program` with the codes that `quantize` gave it, or raise InvalidInputError."""
    text = encoded(quantized_weights(program))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(suffix=".pt2", dir=path.parent)
        os.close(handle)
        try:
            torch.export.save(program, name, extra_files={EXTRA_FILE: text})
            os.replace(name, path)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise InvalidInputError(f"cannot write {path}: {error.strerror or error}") from error


def attach_codes(program: ExportedProgram, text: str) -> None:
    """Give `program` the codes of its file; InvalidInputError where they do not belong to it."""
    tensors = decoded(text)
    for name, tensor in tensors.items():
        weight = program.state_dict.get(name)
        if weight is None or tuple(weight.shape) != tensor.shape:
            raise InvalidInputError(f"stored codes of {name} fit no weight of the program")
    setattr(program, ATTRIBUTE, tensors)


def encoded(tensors: Mapping[str, QuantizedTensor]) -> str:
    """All tensors as text."""
    arrays: dict[str, np.ndarray] = {}
    formats: dict[str, str] = {}
    for name, tensor in tensors.items():
        formats[f"{FORMATS}.{name}"] = str(tensor.format)
        for part in ("codes", "scales", "zeros", "levels"):
            if (array := getattr(tensor, part)) is not None:
                arrays[f"{name}.{part}"] = np.ascontiguousarray(array)
    if not arrays:
        return ""
    return base64.b64encode(save(arrays, metadata=formats)).decode("ascii")


def decoded(text: str) -> dict[str, QuantizedTensor]:
    """What `encoded` wrote; InvalidInputError for anything else, before a code is used."""
    if not text:
        return {}
    try:
        data = base64.b64decode(text, validate=True)
        arrays = load(data)
        header = _metadata(data)
        names = {
            key.removeprefix(f"{FORMATS}."): value
            for key, value in header.items()
            if key.startswith(f"{FORMATS}.")
        }
        return {name: _tensor(name, format, arrays) for name, format in names.items()}
    except (binascii.Error, SafetensorError, KeyError, ValueError, OptionError) as error:
        raise InvalidInputError(f"the stored codes are damaged: {error}") from error


def _metadata(data: bytes) -> dict[str, str]:
    size = int.from_bytes(data[:8], "little")
    found: dict[str, str] = json.loads(data[8 : 8 + size]).get("__metadata__", {})
    return found


def _tensor(name: str, spelling: str, arrays: Mapping[str, np.ndarray]) -> QuantizedTensor:
    """One tensor, its arrays checked against its format."""
    format = parse_format(spelling)
    codes, scales = arrays[f"{name}.codes"], arrays[f"{name}.scales"]
    zeros, levels = arrays.get(f"{name}.zeros"), arrays.get(f"{name}.levels")
    if (
        codes.ndim != 2
        or codes.dtype != np.uint8
        or int(codes.max(initial=0)) >> format.element.width
    ):
        raise ValueError(f"{name}: expected uint8 codes of {format.element.width} bits")
    expected = (codes.shape[0], format.groups(codes.shape[1]))
    stored = SCALE_TYPES[format.scale].encode(np.zeros(1, np.float32)).dtype
    if scales.shape != expected or scales.dtype != stored:
        raise ValueError(f"{name}: expected scales {stored}{list(expected)}")
    if (zeros is None) != (format.zero == "none") or (
        zeros is not None and zeros.shape != expected
    ):
        raise ValueError(f"{name}: expected zero points of shape {list(expected)}")
    is_integer = isinstance(format.element, IntegerElement)
    if (levels is None) != is_integer or (
        levels is not None
        and (levels.dtype != np.float32 or levels.shape != (2**format.element.width,))
    ):
        raise ValueError(f"{name}: expected {2**format.element.width} float32 levels")
    return QuantizedTensor(format, codes, scales, zeros, levels)
