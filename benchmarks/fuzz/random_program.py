"""Random affine programs as Python kernels: imperfect nests with conditions, sums and stencils.

A program is a tree of loops, conditions and assignments, numbered in order of the text. Any choice
of nodes is a program (what stands inside a missing one is missing too), which minimizing needs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from random import Random

TYPES = ("f64", "f64", "f64", "f32", "i32", "i64")
EXTENTS = (1, 2, 3, 4, 5, 7, 8, 9, 12, 17)
RANKS = {"x": 1, "y": 1, "A": 2, "B": 2, "C": 2, "T": 3}
MOST_INSTANCES = 3000  # of one statement
MOST_STATEMENTS = 7


@dataclass
class PythonNode:
    """A line of Python and the lines inside it; `otherwise` are those after `else`."""

    number: int
    text: str
    inside: list[PythonNode] = field(default_factory=list)
    otherwise: list[PythonNode] = field(default_factory=list)

    def lines(self, kept: Collection[int] | None, indent: str) -> Iterator[str]:
        """The text, of the nodes that are kept; nothing where nothing would stand inside."""
        if kept is not None and self.number not in kept:
            return
        if not self.text.endswith(":"):
            yield indent + self.text
            return
        inner = [
            [line for node in nodes for line in node.lines(kept, indent + "    ")]
            for nodes in (self.inside, self.otherwise)
        ]
        if inner[0] or inner[1]:
            yield indent + self.text
            yield from inner[0] or [indent + "    pass"]
        if inner[1]:
            yield indent + "else:"
            yield from inner[1]


@dataclass(frozen=True)
class Variable:
    """A loop variable, and the values it can have at least and at most."""

    name: str
    low: int
    high: int


class RandomProgram:
    """The program of a seed; equal seeds give equal programs."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.seed = seed
        self.type = self.random.choice(TYPES)
        self.count = 0
        self.statements = 0
        self.extents: dict[str, list[int]] = {name: [1] * rank for name, rank in RANKS.items()}
        self.body: list[PythonNode] = []
        while self.statements < 2 or (self.has_room() and self.random.random() < 0.5):
            self.body += self.nest([], 1)

    def text(self, kept: Collection[int] | None = None) -> str:
        """The kernel function `program_SEED`."""
        lines = [line for node in self.body for line in node.lines(kept, "    ")] or ["    pass"]
        arrays = ", ".join(f'{name}: {self.type}["{e}"]' for name, e in self.shapes().items())
        one = "1" if self.type[0] == "i" else "1.0"
        head = f"@kernel\ndef program_{self.seed}({arrays}) -> None:\n"
        return head + f"    s: {self.type} = {one}\n    s = s + s\n" + "\n".join(lines) + "\n"

    def shapes(self) -> dict[str, str]:
        """Extents of the arrays as text."""
        return {name: '", "'.join(map(str, e)) for name, e in self.extents.items()}

    def numbers(self) -> list[int]:
        """The numbers of all nodes."""
        return list(range(self.count))

    def node(self, text: str) -> PythonNode:
        """A node with the next number."""
        self.count += 1
        return PythonNode(self.count - 1, text)

    def has_room(self) -> bool:
        """Whether there may be more statements."""
        return self.statements < MOST_STATEMENTS

    def nest(
        self, around: list[Variable], instances: int, in_branch: bool = False
    ) -> list[PythonNode]:
        """A loop, a condition, or one or two assignments."""
        depth, draw = len(around), self.random.random()
        is_small = depth < 4 and instances < MOST_INSTANCES and self.has_room()
        if depth == 0 or (draw < 0.6 and is_small):
            return [self.loop(around, instances)]
        if draw < 0.7 and not in_branch:
            node = self.node(f"if {self.condition(around)}:")
            node.inside = self.nest(around, instances, True)
            if self.random.random() < 0.4:
                node.otherwise = self.nest(around, instances, True)
            return [node]
        return [self.assignment(around) for _ in range(self.random.choice((1, 1, 2)))]

    def loop(self, around: list[Variable], instances: int) -> PythonNode:
        """A loop over a box, a triangle or a band; by chance with a step, or backward."""
        rng = self.random
        room = max(1, MOST_INSTANCES // instances)
        extent = rng.choice([e for e in EXTENTS if e <= max(room, 2)])
        low = rng.choice((0, 0, 0, 1, 2))
        first, last = str(low), str(low + extent)
        top = low + extent - 1
        if around and rng.random() < 0.35:
            outer = rng.choice(around)
            kind = rng.choice(("upper", "lower", "band"))
            if kind == "upper":
                low, top = 0, max(0, outer.high)
                first, last = "0", f"{outer.name} + 1"
            elif kind == "lower":
                low, top = outer.low, max(outer.high, extent) + 1
                first, last = outer.name, str(top + 1)
            else:
                low, top = outer.low, outer.high + 2
                first = f"max({outer.name}, 1)" if rng.random() < 0.5 else outer.name
                last = f"min({outer.name} + 3, {outer.high + 2})"
        name = f"i{self.count}"
        head = f"range({first}, {last})"
        if rng.random() < 0.2 and "m" not in first + last:  # max() as a start needs step 1
            backward = f"range({last} - 1, {first} - 1, -1)"
            head = rng.choice((f"range({first}, {last}, {rng.choice((2, 3))})", backward))
        node = self.node(f"for {name} in {head}:")
        inner = [*around, Variable(name, low, top)]
        count = instances * max(1, top - low + 1)
        for _ in range(rng.choice((1, 1, 1, 2, 2, 3) if len(around) < 2 else (1, 1, 2))):
            if not node.inside or self.has_room():
                node.inside += self.nest(inner, count)
        return node

    def condition(self, around: list[Variable]) -> str:
        """A comparison of variables, or two."""
        rng = self.random
        one = rng.choice(around)
        other = rng.choice([v.name for v in around if v is not one] or ["2"])
        tests = [
            f"{one.name} {rng.choice(('<', '<=', '==', '!=', '>'))} {other}",
            f"{one.name} % 2 == {rng.randint(0, 1)}",
            f"{one.name} >= {rng.randint(1, 3)}",
        ]
        test = rng.choice(tests)
        if rng.random() < 0.25:
            test += f" {rng.choice(('and', 'or'))} {rng.choice(tests)}"
        return test

    def subscript(
        self, around: list[Variable], variable: Variable | None = None
    ) -> tuple[str, int]:
        """(an index that is never negative, its largest value)."""
        rng = self.random
        v = variable or rng.choice(around)
        draw = rng.random()
        if draw < 0.55:
            return v.name, v.high
        if draw < 0.75:
            c = rng.randint(-min(2, v.low), 2)
            return (f"{v.name} + {c}" if c >= 0 else f"{v.name} - {-c}"), v.high + c
        w = rng.choice(around)
        forms = [
            (f"{v.name} + {w.name}", v.high + w.high),
            (f"{v.high} - {v.name}", v.high),
            (f"2 * {v.name}", 2 * v.high),
            (f"{v.name} // 2", v.high // 2),
            (f"{v.name} % 3", 2),
            (str(c := rng.randint(0, 3)), c),
        ]
        return rng.choice(forms)

    def element(self, around: list[Variable], use: list[Variable] | None = None) -> str:
        """An element of an array, or the scalar; `use` are subscripts to take."""
        if use is None and self.random.random() < 0.06:
            return "s"
        names = [n for n, r in RANKS.items() if use is None or r == len(use)]
        name = self.random.choice(names)
        chosen: list[Variable | None] = [*use] if use else [None] * RANKS[name]
        if use is None and len(around) >= RANKS[name] and self.random.random() < 0.7:
            chosen = list(self.random.sample(around, RANKS[name]))
        indices = []
        for k, variable in enumerate(chosen):
            text, top = self.subscript(around, variable)
            indices.append(text)
            self.extents[name][k] = max(self.extents[name][k], top + 1)
        return f"{name}[{', '.join(indices)}]"

    def assignment(self, around: list[Variable]) -> PythonNode:
        """A map, a stencil or a sum of products."""
        rng, is_integer = self.random, self.type[0] == "i"
        self.statements += 1
        half, quarter = ("3", "5") if is_integer else ("0.5", "0.25")
        kind = rng.choice(("map", "map", "update", "sum", "sum", "blend", "choose"))
        if kind == "sum":
            kept = rng.sample(around, rng.randint(0, min(len(around), 3)))
            target = self.element(around, kept) if kept else rng.choice(("s", "x[0]"))
            one, other = self.element(around), self.element(around)
            return self.node(f"{target} += {one} * {other} * {quarter}")
        target = self.element(around)
        one, other, third = (self.element(around) for _ in range(3))
        if kind == "update":
            return self.node(f"{target} {rng.choice(('+=', '-='))} {one} * {half}")
        if kind == "blend":
            return self.node(f"{target} = ({one} + {other} + {third}) * {quarter}")
        if kind == "choose":
            return self.node(f"{target} = {one} if {other} > {third} else {third} * {half}")
        operation = rng.choice((f"{one} - {other} * {half}", f"{one} * {half}", f"{one} + {half}",
                                f"max({one}, {other})", f"min({one}, {other})"))  # fmt: skip
        return self.node(f"{target} = {operation}")
