"""What is to be compiled: a kernel function with sizes, or an `.mlir` file, as affine IR."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xdsl.dialects.builtin import IndexType, MemRefType, ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Operation

from ...dialects.errors import InvalidInputError, OptionError
from ...passes.context import CompileContext
from ..frontend.kernel_language import BoundKernel, Kernel
from ..ir_text import parse_ir


@dataclass(frozen=True)
class KernelProgram:
    """One affine function, `module` holding it and nothing else.

    `names` are the arguments that a caller gives, in order, `sizes` and `scalars` those that are
    index and other numbers.
    `function` is what computes the same in Python, called with `arguments(values)`.
    """

    name: str
    module: ModuleOp
    names: tuple[str, ...]
    sizes: frozenset[str]
    scalars: frozenset[str]
    function: Callable[..., Any] | None = None
    bound: BoundKernel | None = None

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        """All arguments of `function`, sizes too, from those that are not bound."""
        assert self.bound is not None
        known = {**self.bound.sizes, **values}
        return [known[p.name] for p in self.bound.kernel.parameters]

    def text(self) -> str:
        """The IR without source locations: equal programs have equal text, wherever they stand."""
        module = self.module.clone()
        for op in module.walk():
            op.attributes.pop("loc", None)
        return str(module)


def load_program(source: Any, given: Mapping[str, int] | None) -> KernelProgram:
    """The program that `source` (a Kernel with the sizes `given`, a BoundKernel, the path of an
    .mlir file) is."""
    if isinstance(source, str | Path):
        if given:
            raise OptionError(f"{source}: sizes are for kernel functions; edit the constants")
        return read_program(Path(source))
    if isinstance(source, BoundKernel):
        if given:
            raise OptionError(f"{source.kernel.name} has its sizes already: {source.sizes}")
        bound = source
    else:
        assert isinstance(source, Kernel)
        bound = source.bind(**(given or {}))
    scalars = frozenset(p.name for p in bound.parameters if p.extents is None)
    kernel = bound.kernel
    names = tuple(p.name for p in kernel.parameters if p.name not in bound.sizes)
    sizes = frozenset(bound.free_sizes)
    module = bound.module()
    return KernelProgram(kernel.name, module, names, sizes, scalars, kernel.function, bound)


def read_program(path: Path) -> KernelProgram:
    """The one function of an .mlir file; InvalidInputError where it does not parse."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"cannot read IR text from {path}: {error}") from error
    module = parse_ir(CompileContext(), text, str(path))
    functions: list[Operation] = list(module.ops)
    if len(functions) != 1 or not isinstance(functions[0], FuncOp):
        found = ", ".join(op.name for op in functions) or "nothing"
        raise InvalidInputError(f"{path}: expected one func.func of affine loops, found {found}")
    func = functions[0]
    if func.is_declaration:
        raise InvalidInputError(f"{path}: expected a body of @{func.sym_name.data}, found none")
    types: dict[str, Attribute] = {}
    for k, argument in enumerate(func.body.block.args):
        name = argument.name_hint or f"arg{k}"
        types[name if name not in types else f"{name}_{k}"] = argument.type
    sizes = frozenset(name for name, type in types.items() if isinstance(type, IndexType))
    arrays = {name for name, type in types.items() if isinstance(type, MemRefType)}
    scalars = frozenset(types) - sizes - arrays
    return KernelProgram(func.sym_name.data, module, tuple(types), sizes, scalars)
