"""Buffers that a model changes become inputs that it changes.

before: forward(*args, **kwargs), which writes into buffers (a key-value cache, a counter)
after:  forward(states, *args, **kwargs), `states` being a tuple of those buffers
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import (
    ExportGraphSignature,
    InputKind,
    InputSpec,
    OutputKind,
    OutputSpec,
)
from torch.fx import Node
from torch.utils._pytree import tree_structure, tree_unflatten

from ...dialects.errors import InvalidInputError


def lift_states(program: ExportedProgram) -> tuple[ExportedProgram, dict[str, torch.Tensor]]:
    """The program with changed buffers as first inputs, and their values by name, in order."""
    names = changed_buffers(program)
    if not names:
        return program, {}
    states = {name: stored(program, name) for name in names}
    signature = program.graph_signature
    specs = [
        InputSpec(InputKind.USER_INPUT, spec.arg, None)
        if spec.kind is InputKind.BUFFER and spec.target in states
        else spec
        for spec in signature.input_specs
    ]
    arguments = {s.target: s.arg.name for s in signature.input_specs if s.target in states}
    outputs = [
        OutputSpec(OutputKind.USER_INPUT_MUTATION, spec.arg, arguments[spec.target])
        if spec.kind is OutputKind.BUFFER_MUTATION
        else spec
        for spec in signature.output_specs
    ]
    if program.call_spec.in_spec is None:
        raise InvalidInputError("the exported program does not say what its arguments are")
    entry = program.module_call_graph[0]
    assert entry.signature is not None
    in_spec = program.call_spec.in_spec
    args, kwargs = tree_unflatten([0] * in_spec.num_leaves, in_spec)
    names_of_arguments = entry.signature.forward_arg_names
    called = replace(
        entry.signature,
        in_spec=tree_structure(((tuple(states.values()), *args), kwargs)),
        forward_arg_names=names_of_arguments and ["states", *names_of_arguments],
    )
    example = program.example_inputs
    if example is not None:
        example = ((tuple(states.values()), *example[0]), example[1])
    lifted = ExportedProgram(
        root=program.graph_module,
        graph=program.graph,
        graph_signature=ExportGraphSignature(specs, outputs),
        state_dict={k: v for k, v in program.state_dict.items() if k not in states},
        range_constraints=program.range_constraints,
        module_call_graph=[replace(entry, signature=called), *program.module_call_graph[1:]],
        example_inputs=example,
        constants={k: v for k, v in program.constants.items() if k not in states},
        verifiers=[program.verifier],
    )
    return lifted, states


def stored(program: ExportedProgram, name: str) -> torch.Tensor:
    """The value of a buffer."""
    value = program.state_dict.get(name, program.constants.get(name))
    assert isinstance(value, torch.Tensor)
    return value.detach()


def changed_buffers(program: ExportedProgram) -> list[str]:
    """Names of the buffers that an operator writes into, itself or through a view, in order."""
    origin: dict[Node, str] = {}
    targets = {
        spec.arg.name: str(spec.target)
        for spec in program.graph_signature.input_specs
        if spec.kind is InputKind.BUFFER
    }
    changed = set(program.graph_signature.buffers_to_mutate.values())
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name in targets:
            origin[node] = targets[node.name]
        if node.op != "call_function":
            continue
        for argument, is_written in aliased_arguments(node):
            if argument in origin:
                origin[node] = origin[argument]
                if is_written:
                    changed.add(origin[argument])
    return [name for name in targets.values() if name in changed]


def aliased_arguments(node: Node) -> list[tuple[Node, bool]]:
    """Arguments that results of an operator share memory with, and whether it writes them."""
    schema: Any = getattr(node.target, "_schema", None)
    if schema is None:  # operator.getitem: one of several views
        return [(a, False) for a in node.args if isinstance(a, Node)]
    given: dict[str, Any] = dict(node.kwargs)
    given |= {a.name: v for a, v in zip(schema.arguments, node.args, strict=False)}
    return [
        (given[argument.name], bool(argument.alias_info.is_write))
        for argument in schema.arguments
        if argument.alias_info is not None and isinstance(given.get(argument.name), Node)
    ]
