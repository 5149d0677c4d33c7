"""What can be reached in a directed graph."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from collections.abc import Set as AbstractSet
from typing import TypeVar

Vertex = TypeVar("Vertex", bound=Hashable)


def reachable(start: Vertex, after: Mapping[Vertex, AbstractSet[Vertex]]) -> set[Vertex]:
    """The vertices at the ends of paths of one edge or more from `start`."""
    found: set[Vertex] = set()
    waiting = [start]
    while waiting:
        for vertex in after[waiting.pop()] - found:
            found.add(vertex)
            waiting.append(vertex)
    return found
