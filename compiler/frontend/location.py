"""Where an op comes from: `module.path @ package/file.py:line`, never an absolute path."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from torch.fx import Node

FRAME = re.compile(r'File "([^"]+)", line (\d+)')


def module_path(node: Node) -> str:
    """The dotted path of the innermost module that was running; empty for the model itself."""
    stack = node.meta.get("nn_module_stack") or {}
    path = ""
    for entry in stack.values():
        path = entry[0] if isinstance(entry, tuple) else str(entry)
    return path.removeprefix("L['self'].").removeprefix("L['self']")


@lru_cache(maxsize=1024)
def relative_source(file: str) -> str:
    """`file` counted from the folder that holds its outermost package (or from its own folder)."""
    path = Path(file)
    top = path.parent
    while (top / "__init__.py").exists() and top != top.parent:
        top = top.parent
    try:
        return path.relative_to(top).as_posix()
    except ValueError:
        return path.name


def source_line(node: Node) -> str:
    """`file:line` of the innermost frame of the user's code, else of the innermost frame."""
    frames = FRAME.findall(node.meta.get("stack_trace") or "")
    if not frames:
        return ""
    named = [(relative_source(file), line) for file, line in frames]
    outside = [frame for frame in named if not frame[0].startswith("torch/")]
    file, line = (outside or named)[-1]
    return f"{file}:{line}"


def location(node: Node) -> str:
    """The text of the `loc` attribute of the ops made for `node`."""
    return f"{module_path(node)} @ {source_line(node)}".strip()
