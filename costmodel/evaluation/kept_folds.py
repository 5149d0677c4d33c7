"""Models of folds kept in files, so that an evaluation that was ended goes on where it was.

A kept model is taken for the same samples and the same source of its kind; else it is trained anew.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from types import ModuleType

from ..features.nests import Array
from ..models.interface import Candidates, CostModel
from ..models.load import load_model

KEY = "key"
EVERYONES = ("interface", "files", "load")  # changed without another model coming out


def trained(
    model: CostModel, candidates: Candidates, seconds: Array, folder: Path | None
) -> CostModel:
    """`model` trained on these samples, or that which was in `folder`, where it is left."""
    if folder is None or not len(seconds):
        if len(seconds):
            model.update(candidates, seconds)
        return model
    key = key_of(model, candidates, seconds)
    if (folder / KEY).exists() and (folder / KEY).read_text() == key:
        return load_model(folder)
    model.update(candidates, seconds)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / KEY).unlink(missing_ok=True)
    model.save(folder)
    (folder / KEY).write_text(key)
    return model


def key_of(model: CostModel, candidates: Candidates, seconds: Array) -> str:
    """Changes with the samples, and with the files that the model's kind is made of."""
    found = hashlib.blake2b(candidates.features.tobytes(), digest_size=16)
    found.update(seconds.tobytes() + candidates.tasks.tobytes())
    for module in sorted(sources_of(model), key=lambda m: m.__name__):
        assert module.__file__ is not None
        found.update(Path(module.__file__).read_bytes())
    return found.hexdigest()


def sources_of(model: CostModel) -> set[ModuleType]:
    """The modules of a kind of model, and those whose names they use."""
    package = CostModel.__module__.rpartition(".")[0] + "."
    own = {sys.modules[c.__module__] for c in type(model).__mro__ if in_package(c, package)}
    used = {
        sys.modules[value.__module__]
        for module in own
        for value in vars(module).values()
        if in_package(value, package)
    }
    return {m for m in own | used if m.__name__.rpartition(".")[2] not in EVERYONES}


def in_package(value: object, package: str) -> bool:
    """Whether a class or function is defined in the package."""
    return str(getattr(value, "__module__", "")).startswith(package)
