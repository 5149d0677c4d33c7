"""One kind of full tile: the conditions under which given loops of a tile are boxes."""

from __future__ import annotations

from dataclasses import dataclass, field

from .index_expr import IndexBuilder
from .linear import Atom, Linear
from .loop_ast import AstNode, Call, Expr, Guard, Loop, Mark, Sequence, User, candidates

Choice = Loop | Guard


@dataclass
class FullTile:
    """What the code of a full tile knows: `bounds` of loops, what never runs, guards that hold.

    It may run where all `conditions`, linear in the loops around the tile, are >= 0.
    """

    bounds: dict[Loop, tuple[Expr, Expr]] = field(default_factory=dict)
    skipped: set[Choice] = field(default_factory=set)
    true: set[Guard] = field(default_factory=set)
    conditions: list[Linear] = field(default_factory=list)


@dataclass(frozen=True)
class _Bound:
    """A bound of a loop: `expr`, which is floor(value / divisor) with a linear value."""

    expr: Expr
    value: Linear
    divisor: int = 1

    def is_at_most(self, other: Linear) -> Linear:
        """The form that is >= 0 where the bound is at most `other`."""
        return other.times(self.divisor) - self.value + Linear(self.divisor - 1)

    def is_at_least(self, other: Linear) -> Linear:
        """The form that is >= 0 where the bound is at least `other`."""
        return self.value - other.times(self.divisor)


class _NotFullError(Exception):
    """A condition never holds; `owners` are the choices that exclude it."""

    def __init__(self, owners: frozenset[Choice] = frozenset()) -> None:
        self.owners = owners


@dataclass
class TilePlanner:
    """Walks the loops of a tile; an inner loop is an atom with linear bounds.

    Choices in `off` do not run in this kind of tile. `excluded` collects the choices that made
    another one impossible, `depth` is that of the innermost statement that runs.
    """

    env: dict[str, Linear]
    off: frozenset[Choice] = frozenset()
    divisions: bool = False
    free: frozenset[str] = frozenset()
    tile: FullTile = field(default_factory=FullTile)
    inner: list[tuple[Atom, Linear, Linear]] = field(default_factory=list)
    owners: dict[Linear, Choice] = field(default_factory=dict)
    excluded: set[Choice] = field(default_factory=set)
    depth: int = 0

    def succeeds(self, body: AstNode) -> bool:
        """Whether there is a plan, which is then in `tile`."""
        try:
            self.visit(body)
        except _NotFullError:
            return False
        self.tile.conditions = _strictest(list(self.owners))
        return True

    def visit(self, node: AstNode, axis: str | None = None) -> None:
        """Plan for `node`, whose bare loops belong to `axis`; _NotFullError where a condition can
        never hold."""
        match node:
            case Mark(axis, body):
                self.visit(body, axis)
            case Sequence(children):
                for child in children:
                    self.visit(child, axis)
            case Guard():
                self._guard(node, axis)
            case Loop():
                self._loop(node, axis in self.free)
            case User():
                self.depth = max(self.depth, len(self.inner))

    def _linear(self, expr: Expr) -> Linear:
        """`expr` as a linear form; floor divisions and the like have none."""
        bound = self._bound(expr)
        if bound.divisor != 1:
            raise _NotFullError
        return bound.value

    def _bound(self, expr: Expr) -> _Bound:
        """`expr` as a linear form with one floor division of all of it at most."""
        index = IndexBuilder(None, self.env)
        value = index.evaluate(expr)
        if not index.unresolved:
            return _Bound(expr, value)
        divided = [(atom, sign) for atom, sign in value.terms if atom in index.quotients]
        if (
            not self.divisions
            or index.unresolved > 1
            or len(divided) != 1
            or abs(divided[0][1]) != 1
        ):
            raise _NotFullError
        ((atom, sign),) = divided
        rest, divisor = index.quotients[atom]
        whole = (value - Linear(0, ((atom, sign),))).times(divisor)
        if sign < 0:  # -floor(r / d) = floor((d - 1 - r) / d)
            rest = Linear(divisor - 1) - rest
        return _Bound(expr, whole + rest, divisor)

    def _everywhere(self, difference: Linear) -> Linear:
        """The smallest value of `difference` in the inner loops, as a form of the outer ones."""
        for atom, low, high in reversed(self.inner):
            factor = dict(difference.terms).get(atom, 0)
            if factor:
                extreme = low if factor > 0 else high
                difference = difference + Linear(0, ((atom, -factor),)) + extreme.times(factor)
        return difference

    def _require(self, differences: list[Linear], owner: Choice) -> None:
        """Add the conditions that `differences` are >= 0 everywhere, all of them or none."""
        needed = [self._everywhere(d) for d in differences if d.low < 0]
        needed = [d for d in needed if d.low < 0]
        if any(d.high < 0 for d in needed):
            raise _NotFullError
        against = {
            other
            for d in needed
            for known, other in self.owners.items()
            if (d + known).high < 0 and other is not owner
        }
        if against:
            raise _NotFullError(frozenset(against))
        for d in needed:
            self.owners.setdefault(d, owner)

    def _require_one(self, options: list[Linear], owner: Choice) -> None:
        """Require the first of `options` that can hold."""
        for option in options:
            try:
                self._require([option], owner)
            except _NotFullError:
                continue
            self.tile.skipped.add(owner)
            return
        raise _NotFullError

    def _guard(self, node: Guard, axis: str | None) -> None:
        index = IndexBuilder(None, self.env)
        known = index.condition(node.condition)
        parts = self._inequalities(node.condition) if known is None else None
        runs = known is not False
        if parts is not None:
            opposite = [p.times(-1) + Linear(-1) for p in parts]
            if node in self.off:
                self._require_one(opposite, node)
                runs = False
            else:
                try:
                    self._require(parts, node)
                    self.tile.true.add(node)
                except _NotFullError as error:
                    self.excluded |= error.owners
                    self._require_one(opposite, node)
                    runs = False
        if runs:
            self.visit(node.then, axis)
        if node.other is not None and (not runs or (known is None and parts is None)):
            self.visit(node.other, axis)

    def _inequalities(self, condition: Expr) -> list[Linear] | None:
        """The forms that are >= 0 where `condition` holds; None where it is anything else."""
        assert isinstance(condition, Call)
        if condition.op == "and":
            parts = [self._inequalities(arg) for arg in condition.args]
            if any(p is None for p in parts):
                return None
            return [form for part in parts if part is not None for form in part]
        if condition.op not in ("le", "lt", "ge", "gt"):
            return None
        lhs, rhs = (self._linear(arg) for arg in condition.args)
        difference = rhs - lhs if condition.op in ("le", "lt") else lhs - rhs
        return [difference + Linear(-1 if condition.op in ("lt", "gt") else 0)]

    def _loop(self, node: Loop, is_free: bool) -> None:
        lows = [self._bound(e) for e in candidates(node.first, "max")]
        highs = [self._bound(e) for e in candidates(node.last, "min")]
        plain = [(a, b) for a in lows for b in highs if a.divisor == b.divisor == 1]
        empty = [a.value - b.value + Linear(-1) for a, b in plain]
        if node in self.off:
            self._require_one(empty, node)
            return
        if is_free and plain:
            # Between any of its bounds, which is enough for what does not depend on the others.
            self._inside(node, plain[0][0].value, plain[0][1].value)
            return
        boxes = [
            ((b.value - a.value).constant, k)
            for k, (a, b) in enumerate(plain)
            if (b.value - a.value).is_constant and (b.value - a.value).constant >= 0
        ]
        if not plain or (not boxes and len(lows) + len(highs) > 2):
            raise _NotFullError
        # The smallest box is the tile, where the whole domain has a constant extent too.
        _, k = min(boxes, default=(0, 0))
        first, last = plain[k]
        low, high = first.value, last.value
        inside = [b.is_at_most(low) for b in lows] + [b.is_at_least(high) for b in highs]
        try:
            self._require(inside, node)
        except _NotFullError as error:
            if not error.owners:
                raise
            self.excluded |= error.owners
            self._require_one(empty, node)
            return
        self.tile.bounds[node] = (first.expr, last.expr)
        self._inside(node, low, high)

    def _inside(self, node: Loop, low: Linear, high: Linear) -> None:
        """Plan for the body of `node`, whose variable is somewhere from `low` to `high`."""
        atom = Atom(node.iterator, low.low, high.high)
        outer_env, outer = self.env, self.inner
        self.env = {**self.env, node.iterator: Linear(0, ((atom, 1),))}
        self.inner = [*outer, (atom, low, high)]
        self.visit(node.body)
        self.env, self.inner = outer_env, outer


def _strictest(conditions: list[Linear]) -> list[Linear]:
    """`conditions` without those that follow from another one of the same terms."""
    smallest: dict[frozenset[tuple[Atom, int]], Linear] = {}
    for condition in conditions:
        key = frozenset(condition.terms)
        if key not in smallest or condition.constant < smallest[key].constant:
            smallest[key] = condition
    return list(smallest.values())
