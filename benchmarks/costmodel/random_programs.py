"""Random affine programs in the manner of LOOPerSet (arXiv 2510.10209): nests of up to five loops,
several statements, stencils, reductions, triangular bounds; as text of `affine` loops.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from random import Random

WORK = (20_000, 1_500_000)  # instances of a statement: a run then takes about a millisecond
OPERATIONS = ("addf", "mulf", "subf", "maximumf")


@dataclass
class Writer:
    """The text of one program; `arrays` are the extents of arguments by name."""

    rng: Random
    element: str
    lines: list[str] = field(default_factory=list)
    arrays: dict[str, tuple[int, ...]] = field(default_factory=dict)
    serial: int = 0

    def value(self) -> str:
        """A name for the next value."""
        self.serial += 1
        return f"%v{self.serial}"

    def array(self, extents: tuple[int, ...], written: bool = False) -> str:
        """An argument of these extents: a known one or, for writing and by chance, a new one."""
        known = [n for n, e in self.arrays.items() if e == extents]
        if known and not written and self.rng.random() < 0.6:
            return self.rng.choice(known)
        name = f"A{len(self.arrays)}"
        self.arrays[name] = extents
        return name

    def type_of(self, name: str) -> str:
        """The memref type of an argument."""
        return f"memref<{'x'.join(map(str, self.arrays[name]))}x{self.element}>"

    def load(self, name: str, indices: list[str]) -> str:
        """A load."""
        value = self.value()
        self.lines.append(
            f"{value} = affine.load %{name}[{', '.join(indices)}] : {self.type_of(name)}"
        )
        return value

    def store(self, value: str, name: str, indices: list[str]) -> None:
        """A store."""
        self.lines.append(
            f"affine.store {value}, %{name}[{', '.join(indices)}] : {self.type_of(name)}"
        )

    def combine(self, one: str, other: str, operation: str | None = None) -> str:
        """An operation on two values."""
        value, name = self.value(), operation or self.rng.choice(OPERATIONS)
        self.lines.append(f"{value} = arith.{name} {one}, {other} : {self.element}")
        return value


def random_program(seed: int) -> str:
    """The module of one program; equal seeds give equal texts."""
    rng = Random(seed)
    writer = Writer(rng, rng.choice(("f32", "f64")))
    for nest in range(rng.choice((1, 1, 2, 2, 3))):
        kind = rng.choice((map_nest, map_nest, reduction_nest, stencil_nest))
        kind(writer, f"n{nest}")
    arguments = ", ".join(f"%{name}: {writer.type_of(name)}" for name in writer.arrays)
    body = "\n".join(writer.lines)
    return (
        f"builtin.module {{\nfunc.func @program_{seed}({arguments}) {{\n{body}\n"
        "func.return\n}\n}\n"
    )


def extents_for(rng: Random, depth: int) -> tuple[int, ...]:
    """Extents of `depth` loops with an amount of work within `WORK`."""
    while True:
        found = tuple(
            rng.choice((4, 8, 12, 20, 32, 50, 64, 100, 128, 256, 500)) for _ in range(depth)
        )
        if WORK[0] <= prod(found) <= WORK[1]:
            return found


def open_loops(writer: Writer, name: str, bounds: list[tuple[int, str]]) -> list[str]:
    """Loops from a number to a bound, which may be an affine expression of an outer one."""
    dims = []
    for k, (low, high) in enumerate(bounds):
        dim = f"%{name}_{k}"
        writer.lines.append(f"affine.for {dim} = {low} to {high} {{")
        dims.append(dim)
    return dims


def close_loops(writer: Writer, count: int) -> None:
    """The ends of as many loops."""
    writer.lines += ["}"] * count


def map_nest(writer: Writer, name: str) -> None:
    """Elementwise statements, with permuted and broadcast reads; by chance triangular."""
    rng = writer.rng
    extents = extents_for(rng, rng.choice((2, 2, 3, 3, 4)))
    bounds = [(0, str(e)) for e in extents]
    if rng.random() < 0.25:
        square = min(extents[0], 500)
        extents = (square, square, *extents[2:])
        bounds[0] = (0, str(square))
        bounds[1] = (0, f"affine_map<(d0) -> (d0 + 1)>(%{name}_0)")
    dims = open_loops(writer, name, bounds)
    for _ in range(rng.choice((1, 1, 2, 3))):
        target = writer.array(extents, written=True)
        value = read(writer, dims, extents)
        for _ in range(rng.randint(1, 3)):
            value = writer.combine(value, read(writer, dims, extents))
        writer.store(value, target, dims)
    close_loops(writer, len(dims))


def read(writer: Writer, dims: list[str], extents: tuple[int, ...]) -> str:
    """A load at the point, transposed, or of fewer dims."""
    order = list(range(len(dims)))
    chance = writer.rng.random()
    if chance < 0.25:
        writer.rng.shuffle(order)
    elif chance < 0.5 and len(order) > 1:
        order.remove(writer.rng.choice(order))
    name = writer.array(tuple(extents[k] for k in order))
    return writer.load(name, [dims[k] for k in order])


def reduction_nest(writer: Writer, name: str) -> None:
    """A sum of products over one or two of the loops, whose order is random."""
    rng = writer.rng
    depth = rng.choice((2, 3, 3, 3, 4, 5))
    extents = extents_for(rng, depth)
    dims = open_loops(writer, name, [(0, str(e)) for e in extents])
    summed = set(rng.sample(range(depth), 1 if depth < 4 else rng.choice((1, 2))))
    kept = [k for k in range(depth) if k not in summed]
    target = writer.array(tuple(extents[k] for k in kept), written=True)
    place = [dims[k] for k in kept]
    value = writer.load(target, place)
    term = None
    for _ in range(rng.choice((1, 2, 2, 3))):
        used = [k for k in range(depth) if k in summed or rng.random() < 0.5]
        rng.shuffle(used)
        one = writer.load(writer.array(tuple(extents[k] for k in used)), [dims[k] for k in used])
        term = one if term is None else writer.combine(term, one, "mulf")
    assert term is not None
    writer.store(writer.combine(value, term, "addf"), target, place)
    close_loops(writer, depth)


def stencil_nest(writer: Writer, name: str) -> None:
    """A neighbourhood of one to three dims, by chance in a loop over time between two arrays."""
    rng = writer.rng
    rank, in_time = rng.choice((1, 2, 2, 3)), rng.random() < 0.6
    steps = rng.choice((4, 8, 16))
    while True:
        extents = tuple(rng.choice((20, 34, 66, 130, 258, 1026, 4098)) for _ in range(rank))
        if WORK[0] <= prod(extents) * (2 * steps if in_time else 1) <= WORK[1]:
            break
    one, other = writer.array(extents, written=True), writer.array(extents, written=True)
    reach = [[0] * rank]
    for d in range(rank):
        for offset in (-1, 1):
            if rng.random() < 0.8:
                reach.append([offset if k == d else 0 for k in range(rank)])
    if in_time:
        writer.lines.append(f"affine.for %{name}_t = 0 to {steps} {{")
    for half, (source, target) in enumerate([(one, other), (other, one)][: 2 if in_time else 1]):
        dims = open_loops(writer, f"{name}_{half}", [(1, str(e - 1)) for e in extents])
        value: str | None = None
        for offsets in reach:
            place = [f"{d} + {o}" if o else d for d, o in zip(dims, offsets, strict=True)]
            loaded = writer.load(source, place)
            value = loaded if value is None else writer.combine(value, loaded, "addf")
        assert value is not None
        writer.store(writer.combine(value, value, "mulf"), target, dims)
        close_loops(writer, rank)
    if in_time:
        close_loops(writer, 1)
