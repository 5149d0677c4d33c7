"""What PyTorch computes for an exported program: as it is, or with every float in float64.

Running the exported graph, and not the module in `.double()`, also widens what the module's code
casts to float32 by name, and works for programs loaded from a file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind
from torch.fx import GraphModule, Node
from torch.utils._pytree import tree_map

from .definite import DefiniteInterpreter
from .rounded_activations import with_rounded_activations

NARROW = (torch.float32, torch.float16, torch.bfloat16)


def widen(value: Any) -> Any:
    """Narrow float tensors and float types to float64; everything else as it is."""
    if isinstance(value, Tensor) and value.dtype in NARROW:
        return value.to(torch.float64)
    if isinstance(value, torch.dtype) and value in NARROW:
        return torch.float64
    return value


class NestedModule(torch.nn.Module):
    """A subgraph of a higher-order operator, run by an interpreter such as its parent's."""

    def __init__(self, interpreter: DoubleInterpreter) -> None:
        super().__init__()
        self.interpreter = interpreter

    def forward(self, *args: Any) -> Any:
        return self.interpreter.run(*args)


class DoubleInterpreter(DefiniteInterpreter):
    """Runs an fx graph with every float in float64.

    What it is given is widened where it is used: all weights of a large model at once would take
    twice its memory.
    """

    def run_node(self, n: Node) -> Any:
        if "_assert" in str(n.target):
            return None  # checks of types, which are not what they were any more
        if n.op == "placeholder":
            return super().run_node(n)
        return tree_map(widen, super().run_node(n))

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Call an operator with wide arguments."""
        return super().call_function(target, tree_map(widen, args), tree_map(widen, kwargs))

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> Any:
        """A constant, or a subgraph that will run in float64 too."""
        value = super().get_attr(target, args, kwargs)
        return NestedModule(self.nested(value)) if isinstance(value, GraphModule) else value

    def nested(self, module: GraphModule) -> DoubleInterpreter:
        """The interpreter of a subgraph."""
        return DoubleInterpreter(module)


def run_program(
    program: ExportedProgram,
    leaves: Sequence[Any],
    interpreter: Callable[[GraphModule], DefiniteInterpreter],
    changed: Sequence[int] = (),
) -> list[Any]:
    """The flat user outputs of `program` for the flat leaves of (args, kwargs).

    The values that the leaves at `changed` have afterwards follow; `leaves` stay as they are.
    In float64, activations are rounded where the program asks for that. The native run does not
    round them: the error of rounding is what results may be off by, as a difference in the last
    bit of an activation may round it to the next integer. (Single kernels are checked exactly.)
    """
    own = {k: leaves[k].clone() for k in changed}
    leaves = [own.get(k, leaf) for k, leaf in enumerate(leaves)]
    stored: dict[str, Any] = {**program.constants, **program.state_dict}
    given = iter(leaves)
    values = [
        next(given) if spec.kind is InputKind.USER_INPUT else stored[str(spec.target)]
        for spec in program.graph_signature.input_specs
    ]
    is_reference = interpreter is DoubleInterpreter
    module = with_rounded_activations(program) if is_reference else program.graph_module
    runner = interpreter(module)
    with torch.no_grad():
        if isinstance(runner, DoubleInterpreter):
            # what the graph may write into has to be wide from the start
            values = [
                value if spec.kind is InputKind.PARAMETER else widen(value)
                for spec, value in zip(program.graph_signature.input_specs, values, strict=True)
            ]
        results = runner.run(*values, enable_io_processing=False)
    specs = list(zip(program.graph_signature.output_specs, results, strict=True))
    outputs = [result for spec, result in specs if spec.kind is OutputKind.USER_OUTPUT]
    # a program that is not functionalized has written into its inputs, another returns them
    replaced = {
        spec.target: result for spec, result in specs if spec.kind is OutputKind.USER_INPUT_MUTATION
    }
    users = [
        (spec.arg.name, value)
        for spec, value in zip(program.graph_signature.input_specs, values, strict=True)
        if spec.kind is InputKind.USER_INPUT
    ]
    return outputs + [replaced.get(name, value) for name, value in (users[k] for k in changed)]
