"""The parameters of a kernel: integer sizes, scalars and arrays."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass

from .element_types import ElementType
from .source import KernelSource

ALLOWED = 'an annotation is `int`, an element type such as f64, or an array such as f64["n", "m"]'


@dataclass(frozen=True)
class Parameter:
    """One parameter: an integer (`element` None), a scalar (`extents` None) or an array."""

    name: str
    element: ElementType | None
    extents: tuple[ast.expr, ...] | None
    node: ast.arg

    @property
    def is_size(self) -> bool:
        """Whether it is an integer: a size."""
        return self.element is None


def parameters_of(source: KernelSource) -> tuple[Parameter, ...]:
    """The parameters in order; KernelError for anything but plain annotated ones."""
    arguments = source.tree.args
    if arguments.vararg or arguments.kwarg or arguments.kwonlyargs or arguments.defaults:
        raise source.error(source.tree, "a kernel takes plain positional parameters only")
    return tuple(_parameter(source, node) for node in (*arguments.posonlyargs, *arguments.args))


def _parameter(source: KernelSource, node: ast.arg) -> Parameter:
    annotation = node.annotation
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        annotation = ast.parse(annotation.value, mode="eval").body
    if annotation is None:
        raise source.error(node, f"parameter {node.arg!r} has no annotation; {ALLOWED}")
    if isinstance(annotation, ast.Subscript):
        element = source.resolve(annotation.value)
        index = annotation.slice
        extents = tuple(index.elts) if isinstance(index, ast.Tuple) else (index,)
        if isinstance(element, ElementType):
            return Parameter(node.arg, element, tuple(_extent(source, e) for e in extents), node)
    else:
        found = source.resolve(annotation)
        if found is int:
            return Parameter(node.arg, None, None, node)
        if isinstance(found, ElementType):
            return Parameter(node.arg, found, None, node)
    raise source.error(
        node, f"parameter {node.arg!r} is annotated {ast.unparse(annotation)!r}; {ALLOWED}"
    )


def _extent(source: KernelSource, node: ast.expr) -> ast.expr:
    """The expression of an extent, out of its string."""
    if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
        return node
    try:
        inner = ast.parse(node.value, mode="eval").body
    except SyntaxError as error:
        raise source.error(node, f"the extent {node.value!r} is not an expression") from error
    for part in ast.walk(inner):
        ast.copy_location(part, node)
    return inner


def bind_sizes(
    source: KernelSource, parameters: tuple[Parameter, ...], values: Mapping[str, int]
) -> dict[str, int]:
    """The integer parameters that have a value; KernelError where one is unknown."""
    wanted = [p.name for p in parameters if p.is_size]
    for name, value in values.items():
        if name not in wanted:
            raise source.error(
                source.tree,
                f"{name!r} is no integer parameter of {source.tree.name}; they are "
                f"{', '.join(wanted) or 'none'}",
            )
        if isinstance(value, bool) or not isinstance(value, int):
            raise source.error(source.tree, f"{name} must be an int, found {value!r}")
    return {name: values[name] for name in wanted if name in values}
