"""Whether the last iteration of a loop gets code of its own: the others need fewer bounds then.

before: for ib = 0 .. 9: for i = 8 ib .. min(8 ib + 7, 77): S(i)
after:  for ib = 0 .. 8: for i = 8 ib .. 8 ib + 7: S(i);   for i = 72 .. 77: S(i)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .index_expr import IndexBuilder
from .linear import Atom, Linear
from .loop_ast import AstNode, Guard, Loop, Mark, Sequence, User, candidates

if TYPE_CHECKING:
    from .emit_loops import LoopEmitter


def last_is_peeled(emitter: LoopEmitter, node: Loop, first: int, last: int) -> bool:
    """Whether bounds and guards inside are decided for all iterations but the last."""
    step = node.step
    if last - first < step or emitter.in_tile:
        return False
    atom = Atom(node.iterator, first, last)
    if _is_skewed(node.body, {**emitter.env, node.iterator: Linear(0, ((atom, 1),))}):
        return False
    final = first + (last - first) // step * step
    whole = _unresolved(emitter, node, first, final)
    return whole > 0 and _unresolved(emitter, node, first, final - step) < whole


def _is_skewed(body: AstNode, env: dict[str, Linear]) -> bool:
    """Whether a loop in `body` starts elsewhere in each iteration of the loops around it, or gets
    longer with them. Splits of boxes make neither: only their last iteration is shorter. Loops that
    get longer by whole blocks, as a floor division says, do not count."""
    match body:
        case Mark():
            return _is_skewed(body.body, env)
        case Sequence(children):
            return any(_is_skewed(child, env) for child in children)
        case Guard():
            others = [] if body.other is None else [body.other]
            return any(_is_skewed(child, env) for child in (body.then, *others))
        case Loop():
            index = IndexBuilder(None, env)
            first = index.evaluate(body.first)
            lasts = [index.evaluate(e) for e in candidates(body.last, "min")]
            steady = [x for x in lasts if not any(a in index.quotients for a, _ in x.terms)]
            if not first.is_constant or any(c > 0 for last in steady for _, c in last.terms):
                return True
            last = index.evaluate(body.last)
            atom = Atom(body.iterator, first.low, last.high)
            return _is_skewed(body.body, {**env, body.iterator: Linear(0, ((atom, 1),))})
        case User():
            return False


def _unresolved(emitter: LoopEmitter, node: Loop, low: int, high: int) -> int:
    """How many bounds and guards inside ranges do not decide."""
    index = IndexBuilder(None, dict(emitter.env))
    index.env[node.iterator] = Linear(0, ((Atom(node.iterator, low, high), 1),))
    _survey(emitter, node.body, index)
    return index.unresolved


def _survey(emitter: LoopEmitter, node: AstNode, index: IndexBuilder) -> None:
    match node:
        case Mark(_, body):
            _survey(emitter, body, index)
        case Sequence(children):
            for child in children:
                _survey(emitter, child, index)
        case Guard():
            emitter.condition(node, index)
            _survey(emitter, node.then, index)
            if node.other is not None:
                _survey(emitter, node.other, index)
        case Loop() if emitter.tile is not None and node in emitter.tile.skipped:
            pass
        case Loop():
            first, last = emitter.bounds(node, index)
            atom = Atom(node.iterator, first.low, last.high)
            index.env[node.iterator] = Linear(0, ((atom, 1),))
            _survey(emitter, node.body, index)
        case User():
            pass
