"""Models by name, and from files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ...dialects.errors import InvalidInputError, OptionError
from .analytic import RandomModel, RooflineModel
from .files import read_description
from .gbdt import GbdtModel
from .interface import CostModel

MODELS: dict[str, Callable[[], CostModel]] = {
    "random": RandomModel,
    "roofline": RooflineModel,
    "gbdt": GbdtModel,
}


def new_model(name: str) -> CostModel:
    """An untrained model; OptionError for an unknown name."""
    if name not in MODELS:
        raise OptionError(f"no cost model {name!r}; there are {', '.join(MODELS)}")
    return MODELS[name]()


def load_model(folder: Path) -> CostModel:
    """The model that `save` wrote; InvalidInputError for anything else. Runs nothing it reads."""
    kind, content, parts = read_description(folder)
    match kind:
        case "random" | "roofline":
            return new_model(kind)
        case "gbdt":
            return GbdtModel.restored(content, parts)
    raise InvalidInputError(f"{folder}: no cost model {kind!r}; there are {', '.join(MODELS)}")
