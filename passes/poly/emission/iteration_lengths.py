"""How much work the iterations of a loop have, by the lengths of the loops inside it.

for i: for j <= i     grows
for i: for j > i      shrinks
for i: for j < n      neither
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from .index_expr import IndexBuilder
from .linear import Atom, Linear
from .loop_ast import AstNode, Guard, Loop, Mark, Sequence, User, candidates, mentions


def length_changes(body: AstNode, iterator: str, env: dict[str, Linear]) -> Iterator[int]:
    """One number for each loop in `body` whose length depends on `iterator`, other than in partial
    tiles: 1 where later iterations are longer, -1 where they are shorter, 0 where neither shows."""
    match body:
        case Mark():
            yield from length_changes(body.body, iterator, env)
        case Sequence(children):
            for child in children:
                yield from length_changes(child, iterator, env)
        case Guard():
            for child in (body.then, *([] if body.other is None else [body.other])):
                yield from length_changes(child, iterator, env)
        case Loop():
            index = IndexBuilder(None, env)
            lows = [index.evaluate(e) for e in candidates(body.first, "max")]
            highs = [index.evaluate(e) for e in candidates(body.last, "min")]
            lengths = [high - low for low, high in product(lows, highs)]
            is_box = any(length.is_constant for length in lengths)
            if not is_box and (mentions(body.first, iterator) or mentions(body.last, iterator)):
                slopes = {_sign(length, iterator, index) for length in lengths} - {0}
                yield slopes.pop() if len(slopes) == 1 else 0
            atom = Atom(
                body.iterator, index.evaluate(body.first).low, index.evaluate(body.last).high
            )
            inner = {**env, body.iterator: Linear(0, ((atom, 1),))}
            yield from length_changes(body.body, iterator, inner)
        case User():
            return


def _sign(length: Linear, iterator: str, index: IndexBuilder) -> int:
    """Whether `length` grows with `iterator`, which may also stand in floor divisions."""
    slope = 0
    for atom, factor in length.terms:
        numerator, _ = index.quotients.get(atom, (Linear(0, ((atom, 1),)), 1))
        slope += factor * sum(c for inner, c in numerator.terms if inner.name == iterator)
    return (slope > 0) - (slope < 0)
