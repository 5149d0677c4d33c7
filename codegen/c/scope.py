"""C identifiers from SSA name hints: unique among enclosing blocks, reused in sibling blocks."""

from __future__ import annotations

import re

_KEYWORDS = (
    "auto break case char const continue default do double else enum extern float for goto if "
    "inline int long register restrict return short signed sizeof static struct switch typedef "
    "union unsigned void volatile while asm bool true false"
)
_LIBRARY = (
    "main memcpy acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh erf exp exp2 "
    "expm1 fabs floor fma log log10 log1p log2 pow rint round sin sinh sqrt tan tanh trunc "
    "y0 y1 yn j0 j1 jn gamma NAN INFINITY"
)
_RESERVED = frozenset((_KEYWORDS + " " + _LIBRARY).split())
_RESERVED |= {f"{name}f" for name in _LIBRARY.split()}


def identifier(hint: str) -> str:
    """`hint` as a C identifier that is no keyword and collides with no helper."""
    name = re.sub(r"\W", "_", hint)
    if not name or not (name[0].isalpha() or name[0] == "_"):
        name = f"v{name}"
    name = name.lstrip("_") or "v"
    if name[0].isdigit():
        name = f"v{name}"
    if name in _RESERVED or name.startswith("tc_"):
        name = f"{name}_"
    return name


class Scope:
    """Names taken in one C block, on top of those of the blocks around it."""

    def __init__(self, parent: Scope | None = None) -> None:
        self.parent = parent
        self._names: set[str] = set()

    def is_taken(self, name: str) -> bool:
        """True if `name` means something here."""
        return name in self._names or (self.parent is not None and self.parent.is_taken(name))

    def claim(self, hint: str) -> str:
        """A free name like `hint`."""
        base = identifier(hint)
        name, serial = base, 0
        while self.is_taken(name):
            serial += 1
            name = f"{base}_{serial}"
        self._names.add(name)
        return name
