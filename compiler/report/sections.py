"""The text of one IR stage, or of one C file, cut at its functions.

xDSL prints the operations of a module with two spaces before them, emitted C starts functions at
the beginning of a line: that is enough to cut without parsing megabytes of loops.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

SYMBOL = re.compile(r'^  (?:func\.func (?:private )?@([\w$.-]+)|.*?sym_name = "([^"]+)")')
DEFINITION = re.compile(r"^(?!static )[A-Za-z_][\w ]*[ *](\w+)\([^;]*$")


def symbols_of_module(text: str) -> dict[str, str]:
    """Name -> text of every operation with a symbol at the top of a module."""
    found: dict[str, str] = {}
    for block in _blocks(text.splitlines()[1:]):
        match = SYMBOL.match(block[0])
        if match is not None:
            found[match[1] or match[2]] = "\n".join(line[2:] for line in block) + "\n"
    return found


def _blocks(lines: list[str]) -> Iterator[list[str]]:
    """Runs of lines from one that is indented by two spaces up to the next such."""
    block: list[str] = []
    for line in lines:
        starts = line.startswith("  ") and line[2:3] not in (" ", "}", "^", "")
        if starts and block:
            yield block
            block = []
        if (starts or block) and line != "}":
            block.append(line)
    if block:
        yield block


def functions_of_c(text: str) -> dict[str, str]:
    """Name -> text of every function that is not static, with comments and statics before it."""
    found: dict[str, str] = {}
    pending: list[str] = []
    name: str | None = None
    for line in text.splitlines():
        pending.append(line)
        match = DEFINITION.match(line)
        if match is not None and name is None:
            name = match[1]
        if line == "}":
            if name is not None:
                found[name] = "\n".join(pending).strip() + "\n"
                pending, name = [], None
        elif line.endswith(";") and name is not None and not line.startswith((" ", "\t")):
            name = None  # a prototype
    return found
