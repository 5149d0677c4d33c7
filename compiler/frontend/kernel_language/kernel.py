"""The decorator `@tilecast.kernel` and what it makes of a function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import update_wrapper
from typing import Any, ClassVar

from xdsl.dialects.builtin import MemRefType, ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Region
from xdsl.ir.affine import AffineExpr

from .affine_expressions import constant_expression
from .scope import Array, Scope
from .signature import Parameter, bind_sizes, parameters_of
from .source import KernelSource
from .statements import StatementBuilder


@dataclass(frozen=True)
class BoundKernel:
    """A kernel with values for its integer parameters."""

    kernel: Kernel
    sizes: dict[str, int]

    is_tilecast_kernel: ClassVar[bool] = True

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters that remain: scalars and arrays, in order."""
        return tuple(p for p in self.kernel.parameters if not p.is_size)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each parameter that remains; () for scalars."""
        source, scope = self.kernel.source, self._scope(Block())
        return {
            p.name: tuple(constant_expression(source, scope, e) for e in p.extents or ())
            for p in self.parameters
        }

    def _scope(self, block: Block) -> Scope:
        scope = Scope(block, block)
        scope.indices = {name: AffineExpr.constant(n) for name, n in self.sizes.items()}
        return scope

    def module(self) -> ModuleOp:
        """The kernel as affine IR: one function over memrefs; scalars are memrefs of rank 0."""
        source, shapes = self.kernel.source, self.shapes()
        for parameter in self.parameters:
            if any(extent < 1 for extent in shapes[parameter.name]):
                raise source.error(
                    parameter.node,
                    f"{parameter.name} would have the shape {shapes[parameter.name]}",
                )
        types = [MemRefType(p.element.ir, shapes[p.name]) for p in self.parameters if p.element]
        func = FuncOp(source.tree.name, (types, []), Region(Block(arg_types=types)))
        scope = self._scope(func.body.block)
        for parameter, argument in zip(self.parameters, func.body.block.args, strict=True):
            assert parameter.element is not None
            argument.name_hint = parameter.name
            scope.arrays[parameter.name] = Array(
                argument, parameter.element, shapes[parameter.name], parameter.extents is not None
            )
        StatementBuilder(source, scope).body(source.tree.body)
        func.body.block.add_op(ReturnOp())
        return ModuleOp([func])


class Kernel:
    """A function of the kernel language. Called, it runs as the Python function it is.

    `bind(n=100)` gives the integer parameters their values; `BoundKernel.module()` is its IR.
    `tilecast.compile` takes either.
    """

    is_tilecast_kernel = True

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.source = KernelSource.of(function)
        self.parameters = parameters_of(self.source)
        update_wrapper(self, function)

    @property
    def name(self) -> str:
        """The name of the function."""
        return self.source.tree.name

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return self.function(*arguments, **keywords)

    def bind(self, **sizes: int) -> BoundKernel:
        """The kernel for these values of its integer parameters; all of them are needed."""
        return BoundKernel(self, bind_sizes(self.source, self.parameters, sizes))


def kernel(function: Callable[..., Any]) -> Kernel:
    """Read `function` as a kernel: loops over typed arrays that tilecast can schedule.

        @tilecast.kernel
        def scale(n: int, alpha: f64, x: f64["n"], y: f64["n"]) -> None:
            for i in range(n):
                y[i] = alpha * x[i]

    Parameters are integers (bound before compilation), scalars and arrays, which are updated in
    place. The function stays callable as plain Python on NumPy arrays.
    """
    return Kernel(function)
