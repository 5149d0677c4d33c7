"""Places of statements in the original loops: put a new statement beside one, number children.

A position without gaps numbers the children of every loop 0, 1, 2, ...; a scop where statement k is
loop nest k needs none.
"""

from __future__ import annotations

from xdsl.dialects.builtin import DenseArrayBase, i64

from ...dialects.poly import ScopOp, StatementOp

Position = tuple[int, ...]


def set_positions(scop: ScopOp, positions: dict[StatementOp, Position]) -> None:
    """Give every statement its position, numbered densely; none where each is its own nest."""
    numbers: dict[Position, dict[int, int]] = {}
    for statement, old in sorted(positions.items(), key=lambda entry: entry[1]):
        new = []
        for depth, child in enumerate(old):
            siblings = numbers.setdefault(old[:depth], {})
            new.append(siblings.setdefault(child, len(siblings)))
        statement.properties["position"] = DenseArrayBase.from_list(i64, new)
    drop_default_positions(scop)


def drop_default_positions(scop: ScopOp) -> None:
    """Without positions statement k is nest k; leave them out where that is what they say."""
    default = [(k, *[0] * s.rank) for k, s in enumerate(scop.statements)]
    if scop.positions == default:
        for statement in scop.statements:
            statement.properties.pop("position", None)


def insert_beside(
    scop: ScopOp, new: StatementOp, anchor: StatementOp, depth: int, after: bool = False
) -> None:
    """Put `new` into the `depth` outermost loops of `anchor`, right before (or after) the child
    there that holds `anchor`; its other loops are its own."""
    places = {
        s: tuple(2 * entry for entry in position)
        for s, position in zip(scop.statements, scop.positions, strict=True)
    }
    outer = places[anchor][: depth + 1]
    beside = outer[depth] + (1 if after else -1)
    places[new] = (*outer[:depth], beside, *[0] * (new.rank - depth))
    following = [s for s in scop.statements if places[s] > places[new]]
    if following:
        scop.body.block.insert_op_before(new, min(following, key=places.__getitem__))
    else:
        scop.body.block.insert_op_after(new, scop.statements[-1])
    set_positions(scop, places)
