"""The MODEL argument: a `.pt2` or `.mlir` file, `package.module:callable`, or a package."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...dialects.errors import InvalidInputError

EXPECTED = (
    "expected a .pt2 file, an .mlir file of affine loops, or package.module:callable, which is a "
    "@tilecast.kernel function or returns (module, example_inputs)"
)


@dataclass(frozen=True)
class LoadedModel:
    """What `tilecast.compile` takes: a module or exported program and its example inputs, or a
    kernel (no example inputs) and the `keywords` that only kernels have."""

    model: Any
    example_inputs: tuple[Any, ...] | None
    keywords: dict[str, Any] = field(default_factory=dict)

    @property
    def is_kernel(self) -> bool:
        """Whether it is loops and not a model."""
        return self.example_inputs is None


def is_package_argument(argument: str) -> bool:
    """Whether `argument` names a folder (a saved package) rather than a model."""
    return Path(argument).is_dir()


def load_model(argument: str, keywords: dict[str, Any] | None = None) -> LoadedModel:
    """The model that `argument` names; InvalidInputError says what is wrong with it.

    `keywords` (sizes, schedule) are for kernels; a model with them is refused.
    """
    path = Path(argument)
    if path.suffix == ".mlir":
        return LoadedModel(path, None, keywords or {})
    if path.suffix == ".pt2" or path.exists():
        return _without_keywords(argument, _load_file(path), keywords)
    module_name, colon, attribute = argument.partition(":")
    if not colon or not attribute:
        raise InvalidInputError(f"{argument}: no such file; {EXPECTED}")
    found = _find_callable(argument, module_name, attribute)
    if getattr(found, "is_tilecast_kernel", False):
        return LoadedModel(found, None, keywords or {})
    return _without_keywords(argument, _call(argument, found), keywords)


def call_argument(argument: str) -> Any:
    """What the function that `package.module:callable` names returns."""
    module_name, _, attribute = argument.partition(":")
    if not attribute:
        raise InvalidInputError(f"{argument}: expected package.module:callable")
    return _find_callable(argument, module_name, attribute)()


def _without_keywords(
    argument: str, loaded: LoadedModel, keywords: dict[str, Any] | None
) -> LoadedModel:
    if keywords:
        raise InvalidInputError(f"{argument} is a model: --size and --schedule are for kernels")
    return loaded


def _load_file(path: Path) -> LoadedModel:
    from ..frontend.export import load_exported

    if path.is_dir():
        raise InvalidInputError(f"{path} is a folder; {EXPECTED}")
    program = load_exported(path)
    if program.example_inputs is None:
        raise InvalidInputError(f"{path} has no example inputs; export it with example inputs")
    arguments, keywords = program.example_inputs
    if keywords:
        raise InvalidInputError(
            f"{path} was exported with keyword inputs {sorted(keywords)}; export it with "
            "positional inputs"
        )
    return LoadedModel(program, tuple(arguments))


def _find_callable(argument: str, module_name: str, attribute: str) -> Any:
    # As `python -m` does: a module in the current folder can be named.
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except ImportError as error:
        raise InvalidInputError(f"{argument}: cannot import {module_name}: {error}") from error
    except AttributeError as error:
        raise InvalidInputError(f"{argument}: {error}") from error
    if not callable(found) and not getattr(found, "is_tilecast_kernel", False):
        raise InvalidInputError(f"{argument} is not callable; {EXPECTED}")
    return found


def _call(argument: str, function: Any) -> LoadedModel:
    result = function()
    if not isinstance(result, tuple) or len(result) != 2:
        raise InvalidInputError(f"{argument} returned {type(result).__name__}; {EXPECTED}")
    model, inputs = result
    if not isinstance(inputs, tuple | list):
        raise InvalidInputError(
            f"{argument} returned example inputs of type {type(inputs).__name__}; expected a tuple"
        )
    return LoadedModel(model, tuple(inputs))
