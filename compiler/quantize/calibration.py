"""What linear layers see: second moments of their inputs over calibration data.

in:  a module or an ExportedProgram, and a sequence of positional arguments for it
out: by weight name, the sum of x x^T over every row that the layer multiplies
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import Interpreter

from ...dialects.errors import InvalidInputError

Doubles = npt.NDArray[np.float64]
Calibration = Iterable[tuple[Any, ...]]


def input_moments(model: Any, calibration: Calibration, names: Sequence[str]) -> dict[str, Doubles]:
    """Moments [K, K] for the weights called `names`, in float64.

    InvalidInputError where the data are no argument tuples, are empty, or never reach a layer.
    """
    sums: dict[str, Tensor] = {}

    def see(name: str, rows: Tensor) -> None:
        flat = rows.detach().reshape(-1, rows.shape[-1]).double()
        product = flat.T @ flat
        sums[name] = sums[name] + product if name in sums else product

    samples = 0
    with torch.no_grad(), watched(model, set(names), see) as run:
        for arguments in calibration:
            if not isinstance(arguments, tuple):
                raise InvalidInputError(
                    "calibration: expected tuples of positional arguments, found "
                    f"{type(arguments).__name__}"
                )
            run(*arguments)
            samples += 1
    if samples == 0:
        raise InvalidInputError("calibration has no samples")
    if silent := sorted(set(names) - set(sums)):
        raise InvalidInputError(
            f"calibration never reached {', '.join(silent)}; give inputs that use these layers, or "
            "leave them out of the weight formats"
        )
    return {name: value.numpy() for name, value in sums.items()}


@contextmanager
def watched(model: Any, names: set[str], see: Callable[[str, Tensor], None]) -> Any:
    """A function that runs `model` and shows `see` what each named weight is multiplied with."""
    if isinstance(model, ExportedProgram):
        yield ProgramWatcher(model, names, see).run
        return
    assert isinstance(model, nn.Module)
    hooks = []
    for path, part in model.named_modules():
        name = f"{path}.weight" if path else "weight"
        if isinstance(part, nn.Linear) and name in names:
            hooks.append(part.register_forward_pre_hook(hook_for(name, see)))
    training = model.training
    model.eval()
    try:
        yield model
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()


def hook_for(name: str, see: Callable[[str, Tensor], None]) -> Callable[..., None]:
    """A hook that shows the input of one layer."""
    return lambda module, arguments: see(name, arguments[0])


class ProgramWatcher(Interpreter):
    """Runs an exported program; `aten.linear` shows its input."""

    def __init__(
        self, program: ExportedProgram, names: set[str], see: Callable[[str, Tensor], None]
    ) -> None:
        super().__init__(program.module())
        self._names, self._see = names, see
        self._weights: Mapping[int, str] = {
            tensor.data_ptr(): name for name, tensor in program.state_dict.items() if name in names
        }

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        """As the interpreter does, after a look at linear layers."""
        if str(target) == "aten.linear.default":
            name = self._weights.get(args[1].data_ptr())
            if name is not None:
                self._see(name, args[0])
        return super().call_function(target, args, kwargs)
