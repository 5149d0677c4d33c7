"""Keys or values of attention in a format of quantized weights, as a module of plain operators.

in:  floats [batch, heads, n, size] of new positions, groups of a format along `size`
out: buffers of packed codes, scales and zero points; the floats that they stand for

A code of `width` bits is cut into parts of 8, 4, 2 or 1 bits (3 = 2 + 1). A byte holds parts of
elements that are `size / parts per byte` apart, so that a run of bytes is decoded by one mask to a
run of elements. Compiled, one query reads the codes inside of attention.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, log2

import torch
from torch import Tensor, nn

from ...dialects.errors import OptionError
from ...dialects.quant import CodebookElement, IntegerElement, WeightFormat, parse_format
from ...dialects.quant.byte_fields import byte_parts

STORED = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16, "e8m0": torch.uint8}
ZEROS = {"int": torch.uint8, "f16": torch.float16, "f32": torch.float32}
E8M0_BIAS = 127


@dataclass(frozen=True)
class Part:
    """Bits `position` .. `position + width - 1` of the codes, in bytes `start` .. `end - 1`."""

    width: int
    position: int
    start: int
    end: int

    @property
    def per_byte(self) -> int:
        """Parts of a byte."""
        return 8 // self.width


def parts_of(width: int, size: int) -> list[Part]:
    """Where the parts of `size` codes of `width` bits lie."""
    parts: list[Part] = []
    start = 0
    for part in byte_parts(width):
        end = start + size * part.width // 8
        parts.append(Part(part.width, part.position, start, end))
        start = end
    return parts


class QuantizedCache(nn.Module):
    """A cache [batch, heads, positions, size] in a format such as "u4:g32".

        self.keys = tilecast.QuantizedCache("u4:g32", (1, heads, positions, size))
        key = self.keys.update(position, key)  # in forward: position [n], key [1, heads, n, size]

    Groups lie along the last dim; a format "per channel" has one scale per position and head.
    """

    codes: Tensor
    scales: Tensor
    zeros: Tensor
    levels: Tensor
    usable: Tensor
    middles: Tensor
    ordered: Tensor

    def __init__(self, format: str, shape: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.format = checked_format(format, shape[-1])
        size = shape[-1]
        self.group = self.format.group or size
        self.parts = parts_of(self.format.element.width, size)
        grouped = (*shape[:-1], size // self.group)
        self.add("codes", torch.zeros((*shape[:-1], self.parts[-1].end), dtype=torch.uint8))
        self.add("scales", torch.zeros(grouped, dtype=STORED[self.format.scale]))
        if self.format.zero != "none":
            self.add("zeros", torch.zeros(grouped, dtype=ZEROS[self.format.zero]))
        for part in self.parts:
            if part.per_byte > 1:
                bits = torch.arange(part.per_byte, dtype=torch.int32) * part.width
                ones = (1 << part.width) - 1
                length = part.end - part.start
                mask = (ones << bits).repeat_interleave(length)
                self.add(f"mask{part.position}", mask.to(torch.int32))
                # exact: the field times a power of two
                factor = torch.exp2((part.position - bits).float()).repeat_interleave(length)
                self.add(f"factor{part.position}", factor)
                self.add(f"place{part.position}", (1 << bits)[:, None].to(torch.int32))
        if not isinstance(self.format.element, IntegerElement):
            self.add_tables()

    def add(self, name: str, value: Tensor) -> None:
        """A buffer that no state dict holds: caches and constants."""
        self.register_buffer(name, value, persistent=False)

    def add_tables(self) -> None:
        """The value of every code, the usable values in order, and their codes."""
        levels = torch.from_numpy(self.format.element.levels)
        usable = torch.from_numpy(self.format.element.usable)
        self.add("levels", levels)
        self.add("usable", usable)
        self.add("middles", (usable[1:] + usable[:-1]) / 2)
        same = levels[None, :] == usable[:, None]
        self.add("ordered", same.to(torch.int32).argmax(1).to(torch.int32))

    def update(self, positions: Tensor, x: Tensor) -> Tensor:
        """Store `x` [batch, heads, n, size] at `positions` [n]; the whole cache as floats."""
        self.append(positions, x)
        return self.read()

    def append(self, positions: Tensor, x: Tensor) -> None:
        """Round `x` and store it at `positions`."""
        codes, scales, zeros = self.rounded(x.float())
        self.codes.index_copy_(2, positions, self.packed(codes))
        self.scales.index_copy_(2, positions, scales)
        if zeros is not None:
            self.zeros.index_copy_(2, positions, zeros)

    def read(self) -> Tensor:
        """All positions as f32: (level of the code - zero point) * scale."""
        element = self.format.element
        numbers = self.unpacked()
        if isinstance(element, IntegerElement):
            step, offset = element.step, element.offset
            if self.format.zero == "int":
                numbers = numbers - self.spread(self.zeros.float())
                offset = 0
            numbers = numbers * step if step != 1 else numbers
            numbers = numbers + offset if offset else numbers
        else:
            numbers = self.levels[numbers.to(torch.int32)]
        if self.format.zero in ("f16", "f32"):
            numbers = numbers - self.spread(self.zeros.float())
        return numbers * self.spread(self.scale_values(self.scales))

    def unpacked(self) -> Tensor:
        """The codes as f32."""
        found: Tensor | None = None
        for part in self.parts:
            field = self.codes[..., part.start : part.end]
            if part.per_byte > 1:
                wide = field.repeat(1, 1, 1, part.per_byte).to(torch.int32)
                mask = getattr(self, f"mask{part.position}")
                value = (wide & mask).float() * getattr(self, f"factor{part.position}")
            else:
                value = field.float()
            found = value if found is None else found + value
        assert found is not None
        return found

    def packed(self, codes: Tensor) -> Tensor:
        """Codes [batch, heads, n, size] (i32) as bytes."""
        found = []
        for part in self.parts:
            if part.per_byte == 1:
                found.append(codes.to(torch.uint8))
                continue
            field = (codes >> part.position) & ((1 << part.width) - 1)
            apart = field.view(*codes.shape[:-1], part.per_byte, part.end - part.start)
            joined = (apart * getattr(self, f"place{part.position}")).sum(-2)
            found.append(joined.to(torch.uint8))
        return found[0] if len(found) == 1 else torch.cat(found, -1)

    def rounded(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """(codes, scales, zero points) to nearest, each group of `x` over its whole range."""
        format, element = self.format, self.format.element
        blocks = x.view(*x.shape[:-1], -1, self.group)
        most, least = blocks.amax(-1).clamp(min=0.0), blocks.amin(-1).clamp(max=0.0)
        low, high = float(element.usable[0]), float(element.usable[-1])
        zeros: Tensor | None = None
        if format.zero == "none":
            up = most / high if high > 0 else torch.zeros_like(most)
            down = least / low if low < 0 else torch.zeros_like(most)
            scales = self.stored_scale(torch.maximum(up, down), torch.maximum(most, -least))
            zero = torch.zeros_like(most)
        else:
            scales = ((most - least) / max(high - low, 1e-30)).to(STORED[format.scale])
            scale = self.scale_values(scales)
            zero = low - torch.where(scale > 0, least / scale, 0.0)
            zeros, zero = self.stored_zero(zero)
        scale = self.scale_values(scales)
        safe = torch.where(scale > 0, scale, 1.0)
        numbers = (blocks / safe[..., None] + zero[..., None]).view(x.shape)
        return self.nearest(numbers), scales, zeros

    def nearest(self, numbers: Tensor) -> Tensor:
        """The codes (i32) of the nearest usable values."""
        element = self.format.element
        if isinstance(element, IntegerElement):
            codes = torch.round((numbers - element.offset) / element.step)
            first = 1 if element.is_symmetric and element.codes > 1 else 0
            return codes.clamp(first, element.codes - 1).to(torch.int32)
        found: Tensor = self.ordered[torch.bucketize(numbers, self.middles)]
        return found

    def stored_scale(self, scale: Tensor, magnitude: Tensor) -> Tensor:
        """Scales as they are stored; OCP MX: the power of two of the largest magnitude becomes
        that of the element type."""
        if not self.is_power:
            return scale.to(STORED[self.format.scale])
        usable = self.format.element.usable
        top = floor(log2(max(abs(float(usable[0])), abs(float(usable[-1])))))
        power = torch.floor(torch.log2(magnitude)).clamp(min=1.0 - E8M0_BIAS) - top
        return torch.where(magnitude > 0, power + E8M0_BIAS, 0.0).to(torch.uint8)

    def scale_values(self, scales: Tensor) -> Tensor:
        """Stored scales as f32."""
        return torch.exp2(scales.float() - E8M0_BIAS) if self.is_power else scales.float()

    @property
    def is_power(self) -> bool:
        """Whether scales are powers of two."""
        return self.format.scale == "e8m0"

    def stored_zero(self, zero: Tensor) -> tuple[Tensor, Tensor]:
        """(zero points as they are stored, their values)."""
        element = self.format.element
        if self.format.zero != "int":
            stored = zero.to(ZEROS[self.format.zero])
            return stored, stored.float()
        assert isinstance(element, IntegerElement)
        code = torch.round((zero - element.offset) / element.step).clamp(0, element.codes - 1)
        return code.to(torch.uint8), code * element.step + element.offset

    def spread(self, values: Tensor) -> Tensor:
        """One number per group as one per element."""
        return values if values.shape[-1] == 1 else values.repeat_interleave(self.group, -1)

    def extra_repr(self) -> str:
        return f"{self.format}, positions={self.codes.shape[2]}"


def checked_format(spelling: str, size: int) -> WeightFormat:
    """The format, if a cache of vectors of `size` elements may have it; else OptionError."""
    format = parse_format(spelling)
    if isinstance(format.element, CodebookElement) and format.element.is_fitted:
        raise OptionError(f"cache format {spelling!r}: a table fitted to a tensor needs the tensor")
    if format.granularity == "tensor":
        raise OptionError(f"cache format {spelling!r}: each position needs a scale of its own")
    if size % 8 or size % (format.group or size):
        raise OptionError(
            f"cache format {spelling!r}: expected vectors of a multiple of 8 elements and of the "
            f"group, found {size}"
        )
    return format
