"""What is in the object code of C functions: instructions, vector registers, spills."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from ..options import compiler_environment

_SYMBOL = re.compile(r"^[0-9a-f]+ <(\w+)[^>]*>:$")
_OWNER = re.compile(r"k\d+_\d+")
_SPILL = re.compile(r"\bv?mov\w*\s+%[xyz]mm\d+.*,-?(0x)?[0-9a-f]*\(%r[sb]p\)")
_VECTOR = re.compile(r"%[xyz]mm(\d+)")


@dataclass
class ObjectReport:
    """Of one function: `spills` are vector registers stored to the stack, `registers` different
    vector registers in use, the most of any function that belongs to it."""

    instructions: int = 0
    vector_instructions: int = 0
    spills: int = 0
    registers: int = 0
    _used: set[str] = field(default_factory=set)

    def begin(self) -> None:
        """Another function of the same owner follows."""
        self._used = set()

    def count(self, line: str) -> None:
        """One line of the disassembly."""
        self.instructions += 1
        self.vector_instructions += "ymm" in line or "zmm" in line
        self.spills += _SPILL.search(line) is not None
        self._used.update(_VECTOR.findall(line))
        self.registers = max(self.registers, len(self._used))


def object_reports(library: Path) -> dict[str, ObjectReport]:
    """The report of each function k0_0, k0_1, ...; bodies of parallel loops and other parts count
    for the function that they are a part of."""
    text = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", str(library)],
        env=compiler_environment(),
        capture_output=True,
        text=True,
    ).stdout
    found: dict[str, ObjectReport] = {}
    current: ObjectReport | None = None
    for line in text.splitlines():
        symbol = _SYMBOL.match(line)
        if symbol:
            owner = _OWNER.match(symbol[1])
            current = found.setdefault(owner[0], ObjectReport()) if owner else None
            if current is not None:
                current.begin()
        elif current is not None and "\t" in line:
            current.count(line)
    return found
