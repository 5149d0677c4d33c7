"""What to say about a dependence that a schedule breaks: two of its instances, where, the cure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NoReturn

from ....dialects.errors import BrokenDependenceError
from ....dialects.schedule import Band
from ..sets import IslMap, isl
from .loop_values import LoopValues

Instance = tuple[str, tuple[int, ...]]


def refuse_loop(
    band: Band,
    pairs: IslMap,
    values: LoopValues,
    how: Literal["reverses", "carries", "updates"],
) -> NoReturn:
    """Raise for `band`, which `reverses` the dependence `pairs`, `carries` it though its iterations
    run at the same time, or `updates` one element in several of these."""
    example = example_of(pairs)
    source, sink, sizes = example.source, example.sink, example.sizes_text()
    loop, (first, second) = repr(band.axis), (instance_text(source), instance_text(sink))
    at, later = (_value(band, values, x, example) for x in (source, sink))
    match how:
        case "reverses":
            message = (
                f"loop {loop} reverses a dependence: {second} must run after {first}, but the loop "
                f"runs it at {later}, before {at}{sizes}; shift or skew the loop, or keep its order"
            )
        case "carries":
            message = (
                f"loop {loop} carries a dependence, so it cannot be {band.kind}: {second} must run "
                f"after {first}, but {later} and {at} may run at the same time{sizes}; "
                "choose a loop that carries none"
            )
        case "updates":
            message = (
                f"loop {loop} carries a reduction, so it cannot be {band.kind}: {second} and "
                f"{first} update one element, but {later} and {at} may run at the same time"
                f"{sizes}; choose another loop or rfactor the reduction"
            )
    raise BrokenDependenceError(message, source, sink, band.axis)


def refuse_sequence(pairs: IslMap) -> NoReturn:
    """Raise for subtrees that stand in the wrong order for the dependence `pairs`."""
    example = example_of(pairs)
    source, sink = example.source, example.sink
    raise BrokenDependenceError(
        f"a sequence reverses a dependence: {instance_text(sink)} must run after "
        f"{instance_text(source)}, but {sink[0]} comes before {source[0]} in the same "
        f"iteration{example.sizes_text()}; "
        "keep their order",
        source,
        sink,
        None,
    )


@dataclass(frozen=True)
class Example:
    """Two instances, for `sizes` of the scop's parameters s0, s1, ..."""

    source: Instance
    sink: Instance
    sizes: tuple[tuple[str, int], ...]

    def sizes_text(self) -> str:
        """What to add to a message about it."""
        return f" (for {', '.join(f'{s} = {n}' for s, n in self.sizes)})" if self.sizes else ""


def example_of(pairs: IslMap) -> Example:
    """One of `pairs`."""
    ends = (isl.dim_type.in_, isl.dim_type.out)
    point = pairs.wrap().sample_point()

    def values(kind: object, count: int) -> list[int]:
        return [point.get_coordinate_val(kind, d).to_python() for d in range(count)]

    parameters = pairs.dim(isl.dim_type.param)
    names = [pairs.get_dim_name(isl.dim_type.param, k) for k in range(parameters)]
    at = values(isl.dim_type.set, sum(pairs.dim(end) for end in ends))
    split = pairs.dim(isl.dim_type.in_)
    source, sink = (pairs.get_tuple_name(end) for end in ends)
    sizes = sorted(zip(names, values(isl.dim_type.param, parameters), strict=True))
    return Example((source, tuple(at[:split])), (sink, tuple(at[split:])), tuple(sizes))


def instance_text(instance: Instance) -> str:
    """S0[3, 4]"""
    name, at = instance
    return f"{name}[{', '.join(map(str, at))}]"


def _value(band: Band, values: LoopValues, instance: Instance, example: Example) -> int:
    """The iteration of `band` that runs `instance`."""
    name = instance[0]
    aff = values.aff(name, dict(band.exprs)[name])
    names = ", ".join(s for s, _ in example.sizes)
    fixed = " and ".join(f"{s} = {n}" for s, n in example.sizes) or "true"
    point = isl.Set(f"[{names}] -> {{ {instance_text(instance)} : {fixed} }}").sample_point()
    value: int = aff.eval(point).to_python()
    return value
