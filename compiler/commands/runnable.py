"""MODEL or PACKAGE to something callable with inputs to try it on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...dialects.errors import InvalidInputError
from .model_argument import is_package_argument, load_model


@dataclass(frozen=True)
class Runnable:
    """A compiled program, inputs for it, and the model it came from (None for packages)."""

    program: Callable[..., Any]
    inputs: tuple[Any, ...]
    model: Any
    is_kernel: bool = False


def load_runnable(
    argument: str, options: dict[str, Any], keywords: dict[str, Any] | None = None
) -> Runnable:
    """Load a package, or compile a model or kernel with `options` (kernels: `keywords` too).

    A kernel gets random inputs, which it updates in place.
    """
    if is_package_argument(argument):
        from ..load import load_package

        package = load_package(argument)
        return Runnable(package, package.check_inputs(), None)
    from ..driver import compile as compile_model

    loaded = load_model(argument, keywords)
    program: Any = compile_model(loaded.model, loaded.example_inputs, **loaded.keywords, **options)
    if loaded.example_inputs is None:
        from .run_kernel import random_arguments

        return Runnable(program, tuple(random_arguments(program).values()), None, is_kernel=True)
    return Runnable(program, loaded.example_inputs, loaded.model)


def read_inputs(path: Path, expected: int) -> tuple[Any, ...]:
    """Tensors of a safetensors file, in the order of their names sorted as input_0, input_1, ..."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InvalidInputError(f"{path}: cannot be read as safetensors: {error}") from error
    names = [f"input_{n}" for n in range(expected)]
    if sorted(tensors) != sorted(names):
        raise InvalidInputError(
            f"{path}: expected tensors {', '.join(names)}, found {', '.join(sorted(tensors))}"
        )
    return tuple(tensors[name] for name in names)
