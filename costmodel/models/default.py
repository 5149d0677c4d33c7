"""The model that a compilation asks: none, the one that ships, or one in a folder.

None is the default: on kernels of held-out families the shipped model gains on average and loses
in one decision of ten (docs/costmodel.md), and whole models of unseen families came out within 3%
of the rules, either way, while compiling them took up to twice as long.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from pathlib import Path

from ...dialects.errors import InvalidInputError, OptionError
from .analytic import RooflineModel
from .interface import CostModel

PRETRAINED = Path(__file__).parents[1] / "pretrained"
NAMES = ("pretrained", "roofline", "none")


@lru_cache(maxsize=8)
def chosen_model(wanted: str | None) -> CostModel | None:
    """The model called `wanted`, or that in the folder `wanted`; None for "none", which is also
    what is asked where nothing is said. For a model that is of another schema or damaged, the
    roofline stands in, with a warning."""
    from .load import load_model

    if wanted in (None, "none"):
        return None
    if wanted == "roofline":
        return RooflineModel()
    folder = PRETRAINED if wanted == "pretrained" else Path(str(wanted))
    if not folder.is_dir():
        raise OptionError(
            f"cost_model={wanted!r}: expected {', '.join(NAMES)} or the folder of a model"
        )
    try:
        return load_model(folder)
    except InvalidInputError as error:
        logging.getLogger(__name__).warning("%s; the roofline stands in", error)
        return RooflineModel()


def model_identity(wanted: str | None) -> str:
    """What the answers of a model depend on, for cache keys."""
    if wanted in (None, "none", "roofline"):
        return wanted or "none"
    folder = PRETRAINED if wanted == "pretrained" else Path(str(wanted))
    description = folder / "model.json"
    return description.read_text(encoding="utf-8") if description.exists() else str(folder)
