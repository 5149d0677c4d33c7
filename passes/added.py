"""Passes from outside of tilecast, and which pass each of them follows.

Nothing heavy is imported: a cached model needs the list for its key and nothing else.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ..dialects.errors import OptionError

if TYPE_CHECKING:
    from xdsl.passes import ModulePass

_ADDED: dict[str, tuple[type[ModulePass], str]] = {}  # name -> (class, pass that it follows)


def register_pass(pass_class: type[ModulePass], *, after: str) -> type[ModulePass]:
    """Run `pass_class` after each run of the pass called `after`, in all later compilations.

    It is an xDSL pass with a `name` of its own; `tilecast-opt`, verification, `tilecast bisect` and
    the cache know it like any other. OptionError for a name that is taken, or an unknown `after`.
    """
    from .registry import PASSES

    name = pass_class.name
    if name in PASSES or (name in _ADDED and _ADDED[name][0] is not pass_class):
        raise OptionError(f"a pass called {name!r} is registered already; give it another name")
    if after not in PASSES and after not in _ADDED:
        known = ", ".join([*PASSES, *_ADDED])
        raise OptionError(f"no pass is called {after!r}; known passes: {known}")
    _ADDED[name] = pass_class, after
    return pass_class


def unregister_pass(name: str) -> None:
    """Take a pass out again; nothing happens where there is none."""
    _ADDED.pop(name, None)


def added_pass(name: str) -> type[ModulePass] | None:
    """The class registered under `name`."""
    found = _ADDED.get(name)
    return None if found is None else found[0]


def with_added(passes: Iterable[str]) -> tuple[str, ...]:
    """`passes`, each with what was registered to follow it."""
    found: list[str] = []
    for name in passes:
        found += [name, *with_added(n for n, (_, after) in _ADDED.items() if after == name)]
    return tuple(found)


def added_passes() -> Iterator[str]:
    """What results depend on: name, place and code of each."""
    for name, (pass_class, after) in _ADDED.items():
        try:
            code = inspect.getsource(inspect.getmodule(pass_class) or pass_class)
        except (OSError, TypeError):  # typed into an interpreter
            code = repr(pass_class.apply.__code__.co_code)
        yield f"{name} after {after}: {hashlib.blake2b(code.encode(), digest_size=20).hexdigest()}"
