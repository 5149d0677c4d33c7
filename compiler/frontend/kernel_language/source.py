"""The source of a kernel function: its syntax tree, its names, and errors at the user's line."""

from __future__ import annotations

import ast
import builtins
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ....dialects.errors import KernelError


@dataclass(frozen=True)
class KernelSource:
    """A parsed function. Lines of `tree` count from `first_line` of `file`."""

    tree: ast.FunctionDef
    file: str
    first_line: int
    lines: tuple[str, ...]
    names: dict[str, Any]

    @staticmethod
    def of(function: Callable[..., Any]) -> KernelSource:
        """The source of `function`; KernelError where there is none or it is no plain function."""
        try:
            lines, first_line = inspect.getsourcelines(function)
            file = inspect.getsourcefile(function) or "<unknown>"
        except (OSError, TypeError) as error:
            raise KernelError(
                f"@tilecast.kernel needs the source text of {function!r}, which Python does not "
                "have; define the function in a file"
            ) from error
        tree = ast.parse(textwrap.dedent("".join(lines))).body[0]
        if not isinstance(tree, ast.FunctionDef):
            raise KernelError(f"{file}:{first_line}: @tilecast.kernel expects a `def` function")
        variables = inspect.getclosurevars(function)
        names = {**vars(builtins), **function.__globals__, **variables.nonlocals}
        return KernelSource(tree, file, first_line, tuple(lines), names)

    def place(self, node: ast.AST) -> str:
        """FILE:LINE of `node`."""
        return f"{self.file}:{self.first_line + getattr(node, 'lineno', 1) - 1}"

    def error(self, node: ast.AST, message: str) -> KernelError:
        """An error about `node` that shows its line."""
        number = getattr(node, "lineno", 1) - 1
        line = self.lines[number].strip() if number < len(self.lines) else ""
        return KernelError(f"{self.place(node)}: {message}\n    {line}")

    def resolve(self, node: ast.expr) -> Any:
        """The Python object that a name or dotted name means outside the kernel; None if unknown.

        Only attributes of modules are followed.
        """
        if isinstance(node, ast.Name):
            return self.names.get(node.id)
        if isinstance(node, ast.Attribute):
            owner = self.resolve(node.value)
            return getattr(owner, node.attr, None) if inspect.ismodule(owner) else None
        return None
