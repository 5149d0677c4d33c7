"""The decorator `@tilecast.kernel` and what it makes of a function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import update_wrapper
from typing import Any, ClassVar

from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    AffineMapAttr,
    ArrayAttr,
    DictionaryAttr,
    IndexType,
    MemRefType,
    ModuleOp,
)
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Region
from xdsl.ir.affine import AffineExpr, AffineMap

from ....passes.poly.parameters import EXTENTS
from .affine_expressions import extent_expression, static_shape
from .scope import Array, Scope
from .signature import Parameter, bind_sizes, parameters_of
from .source import KernelSource
from .statements import StatementBuilder


@dataclass(frozen=True)
class BoundKernel:
    """A kernel with values for all or some of its integer parameters; the others stay symbols."""

    kernel: Kernel
    sizes: dict[str, int]

    is_tilecast_kernel: ClassVar[bool] = True

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The scalars and arrays, in order."""
        return tuple(p for p in self.kernel.parameters if not p.is_size)

    @property
    def free_sizes(self) -> tuple[str, ...]:
        """The integer parameters without a value, in order."""
        sizes = (p.name for p in self.kernel.parameters if p.is_size)
        return tuple(name for name in sizes if name not in self.sizes)

    def extents(self) -> dict[str, tuple[AffineExpr, ...]]:
        """The extents of each parameter over the free sizes; () for scalars."""
        source, scope = self.kernel.source, self._scope(Block())
        return {
            p.name: tuple(extent_expression(source, scope, e) for e in p.extents or ())
            for p in self.parameters
        }

    def _scope(self, block: Block) -> Scope:
        scope = Scope(block, block)
        scope.indices = {name: AffineExpr.constant(n) for name, n in self.sizes.items()}
        scope.indices |= {name: AffineExpr.symbol(k) for k, name in enumerate(self.free_sizes)}
        return scope

    def module(self) -> ModuleOp:
        """The kernel as affine IR: one function over index arguments, the free sizes, and memrefs;
        scalars are memrefs of rank 0."""
        source, extents = self.kernel.source, self.extents()
        for parameter in self.parameters:
            shape = static_shape(extents[parameter.name])
            if any(extent < 1 and extent != DYNAMIC_INDEX for extent in shape):
                raise source.error(
                    parameter.node, f"{parameter.name} would have the shape {tuple(shape)}"
                )
        func = self._function(extents)
        count = len(self.free_sizes)
        scope = self._scope(func.body.block)
        for name, size in zip(self.free_sizes, func.body.block.args, strict=False):
            size.name_hint = name
            scope.sizes.append(size)
        for parameter, argument in zip(self.parameters, func.body.block.args[count:], strict=True):
            assert parameter.element is not None
            argument.name_hint = parameter.name
            scope.arrays[parameter.name] = Array(
                argument, parameter.element, extents[parameter.name], parameter.extents is not None
            )
        StatementBuilder(source, scope).body(source.tree.body)
        func.body.block.add_op(ReturnOp())
        return ModuleOp([func])

    def _function(self, extents: dict[str, tuple[AffineExpr, ...]]) -> FuncOp:
        """The function without its body; arguments say how their extents depend on sizes."""
        free: list[Attribute] = [IndexType() for _ in self.free_sizes]
        arrays = [
            MemRefType(p.element.ir, static_shape(extents[p.name]))
            for p in self.parameters
            if p.element is not None
        ]
        types = [*free, *arrays]
        func = FuncOp(self.kernel.name, (types, []), Region(Block(arg_types=types)))
        attributes = [DictionaryAttr({}) for _ in free]
        for parameter, type in zip(self.parameters, arrays, strict=True):
            map = AffineMapAttr(AffineMap(0, len(free), extents[parameter.name]))
            is_dynamic = DYNAMIC_INDEX in type.get_shape()
            attributes.append(DictionaryAttr({EXTENTS: map} if is_dynamic else {}))
        if free:
            func.properties["arg_attrs"] = ArrayAttr(attributes)
        return func


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
        """The kernel for these values of its integer parameters; those left out stay symbols."""
        return BoundKernel(self, bind_sizes(self.source, self.parameters, sizes))


def kernel(function: Callable[..., Any]) -> Kernel:
    """Read `function` as a kernel: loops over typed arrays that tilecast can schedule.

        @tilecast.kernel
        def scale(n: int, alpha: f64, x: f64["n"], y: f64["n"]) -> None:
            for i in range(n):
                y[i] = alpha * x[i]

    Parameters are integers (sizes, bound before compilation or given at each call), scalars and
    arrays, which are updated in place. The function stays callable as plain Python on NumPy arrays.
    """
    return Kernel(function)
