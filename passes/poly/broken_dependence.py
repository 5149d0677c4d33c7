"""What to say about a dependence that a schedule breaks: two of its instances, where, the cure."""

from __future__ import annotations

from typing import Literal, NoReturn

from ...dialects.errors import BrokenDependenceError
from ...dialects.schedule import Band
from .loop_values import LoopValues
from .sets import IslMap, isl

Instance = tuple[str, tuple[int, ...]]


def refuse_loop(
    band: Band,
    pairs: IslMap,
    values: LoopValues,
    how: Literal["reverses", "carries", "updates"],
) -> NoReturn:
    """Raise for `band`, which `reverses` the dependence `pairs`, `carries` it though its iterations
    run at the same time, or `updates` one element in several of these."""
    source, sink = example_of(pairs)
    loop, (first, second) = repr(band.axis), (instance_text(source), instance_text(sink))
    at, later = (_value(band, values, x) for x in (source, sink))
    match how:
        case "reverses":
            message = (
                f"loop {loop} reverses a dependence: {second} must run after {first}, but the loop "
                f"runs it at {later}, before {at}; shift or skew the loop, or keep its order"
            )
        case "carries":
            message = (
                f"loop {loop} carries a dependence, so it cannot be {band.kind}: {second} must run "
                f"after {first}, but {later} and {at} may run at the same time; "
                "choose a loop that carries none"
            )
        case "updates":
            message = (
                f"loop {loop} carries a reduction, so it cannot be {band.kind}: {second} and "
                f"{first} update one element, but {later} and {at} may run at the same time; "
                "choose another loop or rfactor the reduction"
            )
    raise BrokenDependenceError(message, source, sink, band.axis)


def refuse_sequence(pairs: IslMap) -> NoReturn:
    """Raise for subtrees that stand in the wrong order for the dependence `pairs`."""
    source, sink = example_of(pairs)
    raise BrokenDependenceError(
        f"a sequence reverses a dependence: {instance_text(sink)} must run after "
        f"{instance_text(source)}, but {sink[0]} comes before {source[0]} in the same iteration; "
        "keep their order",
        source,
        sink,
        None,
    )


def example_of(pairs: IslMap) -> tuple[Instance, Instance]:
    """(source, sink) of one of `pairs`."""
    ends = (isl.dim_type.in_, isl.dim_type.out)
    point = pairs.wrap().sample_point()
    total = sum(pairs.dim(end) for end in ends)
    at = [point.get_coordinate_val(isl.dim_type.set, d).to_python() for d in range(total)]
    split = pairs.dim(isl.dim_type.in_)
    source, sink = (pairs.get_tuple_name(end) for end in ends)
    return (source, tuple(at[:split])), (sink, tuple(at[split:]))


def instance_text(instance: Instance) -> str:
    """S0[3, 4]"""
    name, at = instance
    return f"{name}[{', '.join(map(str, at))}]"


def _value(band: Band, values: LoopValues, instance: Instance) -> int:
    """The iteration of `band` that runs `instance`."""
    name = instance[0]
    aff = values.aff(name, dict(band.exprs)[name])
    point = isl.Set(f"{{ {instance_text(instance)} }}").sample_point()
    value: int = aff.eval(point).to_python()
    return value
