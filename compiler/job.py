"""A model that is to be compiled: its exported program and example, the options, and the machine.

in:  what a user gives: a module, an ExportedProgram or a .pt2 file, an example, options
out: a `Job`, which all that compiles, tunes, explains or bisects a model starts from
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.export import ExportedProgram
from torch.utils._pytree import tree_leaves

from ..costmodel.hardware import Machine
from ..dialects.errors import OptionError
from .options import Options
from .target import resolve_target, thread_count

Example = tuple[Any, ...]


@dataclass(frozen=True)
class Job:
    """One model to compile, for one machine.

    `leaves` are those of its example; buffers that the model changes are its first inputs and
    leaves, and `states` has them by name.
    """

    program: ExportedProgram
    leaves: list[Any]
    settings: Options
    machine: Machine
    states: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def threads(self) -> int:
        """The threads that its program runs with."""
        return thread_count(self.settings.threads, self.machine)

    def with_options(self, **changes: Any) -> Job:
        """The same model under other options, but for the target."""
        return replace(self, settings=replace(self.settings, **changes))

    def for_target(self, target: str) -> Job:
        """The same model for another target, its functions named after it."""
        name = f"{self.settings.name}_{re.sub('[^a-z0-9]', '_', target)}"
        settings = replace(self.settings, name=name, target=target, dump_dir=None)
        return replace(self, settings=settings, machine=resolve_target(target))


def model_job(
    model: Any,
    example_inputs: Example | None,
    kwargs: Mapping[str, Any] | None,
    settings: Options,
) -> Job:
    """Export `model`, quantized as the options say; OptionError for options that do not go with it.

    An ExportedProgram or a file may carry the example that is not given.
    """
    from .frontend.export import export_model, load_exported
    from .frontend.states import lift_states
    from .quantize import check_activations, with_quantized_weights

    machine, dims = resolve_target(settings.target), settings.dynamic_shapes
    if dims is not None and isinstance(model, str | Path | ExportedProgram):
        raise OptionError(
            "dynamic_shapes: an exported program has its own; give them to torch.export.export"
        )
    if isinstance(model, str | Path):
        program = load_exported(model)
    elif isinstance(model, ExportedProgram):
        program = model
    else:
        program = export_model(model, example_inputs or (), dict(kwargs or {}), dims)
    program, states = lift_states(program)
    program = with_quantized_weights(program, model, settings.weights, settings.activations)
    check_activations(program, machine)
    if example_inputs is not None:
        given = tree_leaves((tuple(example_inputs), dict(kwargs or {})))
        return Job(program, [*states.values(), *given], settings, machine, states)
    if program.example_inputs is None:
        raise OptionError("the exported program carries no example inputs: give example_inputs")
    return Job(program, tree_leaves(program.example_inputs), settings, machine, states)
