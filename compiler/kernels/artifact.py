"""The result of compiling one kernel as plain data: what is called, cached, saved and verified."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from xdsl.dialects.builtin import AffineMapAttr, ArrayAttr, IndexType, MemRefType, StringAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir.affine import AffineExpr

from ...costmodel.hardware import Machine
from ...dialects.reference.loop_arithmetic import dtype_of
from ..runtime.cache import Entry
from ..verify.report import VerifyReport
from .arguments import Argument, Role
from .size_conditions import SizeConditions, size_conditions
from .size_expressions import parse_map, shape_text

LIBRARY = "library.so"
DESCRIPTION = "kernel.json"


@dataclass(frozen=True)
class KernelArtifact:
    """A compiled kernel.

    `arguments` are in the order of the Python function; the C function takes the sizes first, then
    the others, then `scratch`: temporaries that the runtime allocates. `conditions` say for which
    sizes it is defined. `sources` maps file names to C text, `ir` stage file names to IR text,
    `schedule` holds the steps that were applied, one a line.
    """

    name: str
    machine: Machine
    threads: int
    arguments: tuple[Argument, ...]
    scratch: tuple[Argument, ...]
    conditions: SizeConditions
    schedule: str
    sources: Mapping[str, str]
    ir: Mapping[str, str]
    compiler: str
    flags: tuple[str, ...]
    seconds: Mapping[str, float] = field(default_factory=dict)
    report: VerifyReport | None = None
    library: Path | None = None

    def to_files(self, library: bytes) -> dict[str, bytes]:
        """The files of a cache entry."""
        description = {
            **{k: v for k, v in vars(self).items() if k != "library"},
            "machine": asdict(self.machine),
            "arguments": [a.to_json() for a in self.arguments],
            "scratch": [a.to_json() for a in self.scratch],
            "conditions": self.conditions.to_json(),
            "report": None if self.report is None else self.report.to_json(),
            "sources": dict(self.sources),
            "ir": dict(self.ir),
            "seconds": dict(self.seconds),
        }
        return {LIBRARY: library, DESCRIPTION: json.dumps(description).encode()}

    @staticmethod
    def from_entry(entry: Entry) -> KernelArtifact | None:
        """The artifact of a cache entry; None where a file of it is damaged."""
        text = entry.read(DESCRIPTION)
        if text is None or entry.read(LIBRARY) is None:
            return None
        data: dict[str, Any] = json.loads(text)
        machine = data["machine"] | {"features": tuple(data["machine"]["features"])}
        report = data["report"]
        return KernelArtifact(
            **{
                **data,
                "machine": Machine(**machine),
                "arguments": tuple(map(Argument.from_json, data["arguments"])),
                "scratch": tuple(map(Argument.from_json, data["scratch"])),
                "conditions": SizeConditions.from_json(data["conditions"]),
                "flags": tuple(data["flags"]),
                "report": None if report is None else VerifyReport.from_json(report),
                "library": entry.path / LIBRARY,
            }
        )


def conditions_of(func: FuncOp) -> SizeConditions:
    """The sizes for which a kernel at the loops level is defined."""
    context = func.attributes.get("tilecast.context")
    if not isinstance(context, StringAttr):
        return SizeConditions()
    sizes = [str(a.name_hint) for a in func.body.block.args if isinstance(a.type, IndexType)]
    return size_conditions(context.data, sizes)


def in_order(arguments: Sequence[Argument], names: Sequence[str]) -> tuple[Argument, ...]:
    """`arguments` as `names` lists them; sizes that it does not list are taken from arrays."""
    found: list[Argument] = []
    for a in arguments:
        if a.kind == "size" and a.name not in names:
            position = sum(other.kind == "size" for other in found)
            a = replace(a, taken_from=extent_that_is(position, arguments))
        found.append(a)
    place = {name: k for k, name in enumerate(names)}
    return tuple(sorted(found, key=lambda a: place.get(a.name, len(names))))


def extent_that_is(size: int, arguments: Sequence[Argument]) -> tuple[str, int]:
    """An (array, dim) whose extent is the parameter number `size`."""
    for a in arguments:
        if a.kind == "array" and a.extents is not None:
            for d, expr in enumerate(parse_map(a.extents).results):
                if expr == AffineExpr.symbol(size):
                    return a.name, d
    raise AssertionError("a parameter without an argument is the extent of an array")


def arguments_of(
    func: FuncOp, scalars: frozenset[str]
) -> tuple[list[Argument], tuple[Argument, ...]]:
    """(what the C function is given, scratch) of a kernel at the loops level, in its order."""
    roles = func.attributes["tilecast.roles"]
    assert isinstance(roles, ArrayAttr)
    maps = func.attributes.get("tilecast.extents")
    extents = list(maps) if isinstance(maps, ArrayAttr) else [None] * len(roles)
    given: list[Argument] = []
    scratch: list[Argument] = []
    sizes: list[str] = []
    for value, role, map in zip(func.body.block.args, roles, extents, strict=True):
        assert isinstance(role, StringAttr)
        name = str(value.name_hint)
        if not isinstance(value.type, MemRefType):
            sizes.append(name)
            given.append(Argument(name, "size", "int64"))
            continue
        dtype = dtype_of(value.type).name
        if name in scalars:
            given.append(Argument(name, "scalar", dtype))
            continue
        shape: tuple[int | str, ...] = value.type.get_shape()
        text = None
        if isinstance(map, AffineMapAttr):
            shape = shape_text(map.data, sizes)
            text = str(map) if any(isinstance(extent, str) for extent in shape) else None
        kind: Role = "out" if role.data == "scratch" else role.data  # type: ignore[assignment]
        argument = Argument(name, "array", dtype, shape, kind, text)
        (scratch if role.data == "scratch" else given).append(argument)
    return given, tuple(scratch)
