"""Sizes of an affine function that are known when it runs: its parameters s0, s1, ...

`index` arguments are parameters, and so is every dynamic extent of an argument that is not said to
be an expression over them (argument attribute `tilecast.extents`, an affine map).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.dialects.builtin import AffineMapAttr, DictionaryAttr, IndexType, MemRefType
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, SSAValue
from xdsl.ir.affine import AffineConstantExpr, AffineExpr, AffineMap

from ...dialects.errors import LoweringError
from ...dialects.poly import ScopOp, check_extents
from .sets import IslSet, declared, expr_text, isl

EXTENTS = "tilecast.extents"


@dataclass
class Parameters:
    """`names` of parameters, the `values` that index arguments are, and `extents` of memrefs."""

    names: list[str] = field(default_factory=list)
    values: dict[SSAValue, AffineExpr] = field(default_factory=dict)
    extents: dict[SSAValue, tuple[AffineExpr, ...]] = field(default_factory=dict)

    def add(self, name: str) -> AffineExpr:
        """A new parameter."""
        self.names.append(name)
        return AffineExpr.symbol(len(self.names) - 1)

    def map(self, extents: tuple[AffineExpr, ...]) -> AffineMap | None:
        """`extents` as a map from the parameters; None where all are numbers."""
        if all(isinstance(e, AffineConstantExpr) for e in extents):
            return None
        return AffineMap(0, len(self.names), extents)

    def context(self) -> IslSet:
        """Sizes and extents are not negative."""
        names = [f"s{k}" for k in range(len(self.names))]
        context = isl.Set(f"[{', '.join(names)}] -> {{ : }}" if names else "{ : }")
        for name in names:
            context = context.intersect(param_set(f"{name} >= 0"))
        for extents in self.extents.values():
            context = context.intersect(not_negative(extents))
        return context


def not_negative(extents: tuple[AffineExpr, ...]) -> IslSet:
    """The parameters for which no extent is negative."""
    texts = [expr_text(e) for e in extents if not isinstance(e, AffineConstantExpr)]
    return param_set(" and ".join(f"{text} >= 0" for text in texts) or "1 = 1")


def param_set(condition: str) -> IslSet:
    """The parameters that meet `condition`."""
    return isl.Set(f"{declared(condition)}{{ : {condition} }}")


def parameters_of(func: FuncOp) -> Parameters:
    """The parameters of an affine function: index arguments in order, then extents of memrefs."""
    parameters = Parameters()
    for k, argument in enumerate(func.body.block.args):
        if isinstance(argument.type, IndexType):
            name = argument.name_hint or f"arg{k}"
            parameters.values[argument] = parameters.add(name)
    for k, argument in enumerate(func.body.block.args):
        if (
            not isinstance(argument.type, MemRefType)
            or min(argument.type.get_shape(), default=0) >= 0
        ):
            continue
        stated = _stated_extents(func, k)
        if stated is not None:
            if stated.data.num_symbols != len(parameters.values):
                raise LoweringError(
                    f"{EXTENTS}: expected {len(parameters.values)} symbols, found {stated.data}"
                )
            check_extents(argument.type, stated)
            parameters.extents[argument] = stated.data.results
            continue
        name = argument.name_hint or f"arg{k}"
        parameters.extents[argument] = tuple(
            AffineExpr.constant(n) if n >= 0 else parameters.add(f"{name}_{d}")
            for d, n in enumerate(argument.type.get_shape())
        )
    return parameters


def _stated_extents(func: FuncOp, argument: int) -> AffineMapAttr | None:
    attributes: list[Attribute] = list(func.arg_attrs) if func.arg_attrs is not None else []
    if argument >= len(attributes):
        return None
    found = attributes[argument]
    extents = found.data.get(EXTENTS) if isinstance(found, DictionaryAttr) else None
    return extents if isinstance(extents, AffineMapAttr) else None


def context_of(scop: ScopOp) -> IslSet:
    """The values of the parameters for which `scop` is defined."""
    return isl.Set("{ : }" if scop.context is None else scop.context.data)


def lower_bounds(scop: ScopOp) -> list[int]:
    """The smallest value of each parameter."""
    context = context_of(scop)
    bounds = []
    for k in range(len(scop.parameters)):
        position = context.find_dim_by_name(isl.dim_type.param, f"s{k}")
        box = context.from_params().move_dims(isl.dim_type.set, 0, isl.dim_type.param, position, 1)
        bounds.append(box.dim_min_val(0).to_python())
    return bounds


def upper_bounds(scop: ScopOp) -> list[int | None]:
    """The largest value of each parameter; None where there is no bound."""
    context = context_of(scop)
    bounds: list[int | None] = []
    for k in range(len(scop.parameters)):
        position = context.find_dim_by_name(isl.dim_type.param, f"s{k}")
        box = context.from_params().move_dims(isl.dim_type.set, 0, isl.dim_type.param, position, 1)
        top = box.dim_max_val(0)
        bounds.append(top.to_python() if top.is_int() else None)
    return bounds


def can_grow(context: IslSet) -> bool:
    """Whether every parameter may be as large as one likes, for some values of the others."""
    count = context.dim(isl.dim_type.param)
    box = context.from_params().move_dims(isl.dim_type.set, 0, isl.dim_type.param, 0, count)
    return not box.is_empty() and not any(box.dim_max_val(d).is_int() for d in range(count))
