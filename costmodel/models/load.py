"""Models by name, and from files; the module of a model is imported when it is asked for."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from ...dialects.errors import InvalidInputError, OptionError
from .files import read_description
from .interface import CostModel

MODELS = {
    "random": "analytic:RandomModel",
    "roofline": "analytic:RooflineModel",
    "gbdt": "gbdt:GbdtModel",
    "ensemble": "ensemble:EnsembleModel",
    "recursive": "recursive:RecursiveModel",
    "tokens": "tokens:TokensModel",
}


def new_model(name: str) -> CostModel:
    """An untrained model; OptionError for an unknown name."""
    if name not in MODELS:
        raise OptionError(f"no cost model {name!r}; there are {', '.join(MODELS)}")
    module, _, attribute = MODELS[name].partition(":")
    made: CostModel = getattr(import_module(f".{module}", __package__), attribute)()
    return made


def load_model(folder: Path) -> CostModel:
    """The model that `save` wrote; InvalidInputError for anything else. Runs nothing it reads."""
    kind, parts = read_description(folder)
    match kind:
        case "random" | "roofline":
            return new_model(kind)
        case "gbdt":
            from .gbdt import GbdtModel

            return GbdtModel.restored(parts)
        case "ensemble":
            from .ensemble import EnsembleModel

            return EnsembleModel.restored(parts)
        case "recursive":
            from .recursive import RecursiveModel

            recursive = RecursiveModel()
            recursive.restore(parts)
            return recursive
        case "tokens":
            from .tokens import TokensModel

            tokens = TokensModel()
            tokens.restore(parts)
            return tokens
    raise InvalidInputError(f"{folder}: no cost model {kind!r}; there are {', '.join(MODELS)}")
