"""Buffers that a model changes become inputs that it changes.

before: forward(*args, **kwargs), which writes into buffers (a key-value cache, a counter)
after:  forward(states, *args, **kwargs), `states` being a tuple of those buffers
"""

from __future__ import annotations

import copy
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
from torch.fx import GraphModule, Node
from torch.utils._pytree import tree_structure, tree_unflatten

from ...dialects.errors import InvalidInputError

STORED = (InputKind.BUFFER, InputKind.CONSTANT_TENSOR)


def lift_states(program: ExportedProgram) -> tuple[ExportedProgram, dict[str, torch.Tensor]]:
    """The program with changed buffers as first inputs, and their values by name, in order."""
    if not changed_buffers(program):
        return program, {}
    program = with_one_name_each(program)
    states = {name: stored(program, name) for name in changed_buffers(program)}
    signature = program.graph_signature
    specs = [
        InputSpec(InputKind.USER_INPUT, spec.arg, None)
        if spec.kind in STORED and spec.target in states
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
    lifted = rebuilt(
        program,
        program.graph_module,
        specs,
        outputs,
        module_call_graph=[replace(entry, signature=called), *program.module_call_graph[1:]],
        example_inputs=example,
    )
    return lifted, states


def with_one_name_each(program: ExportedProgram) -> ExportedProgram:
    """A copy in which tensors that share memory are one input, under the first of their names.

    Export lifts tensors that it meets in Python objects, such as a cache, as constants, although
    they are buffers too.
    """
    module = copied_graph(program)
    nodes = {node.name: node for node in module.graph.nodes if node.op == "placeholder"}
    first: dict[tuple[Any, ...], Node] = {}
    specs: list[InputSpec] = []
    for spec in program.graph_signature.input_specs:
        if spec.kind in STORED:
            value, node = stored(program, str(spec.target)), nodes[spec.arg.name]
            place = (value.data_ptr(), value.shape, value.stride(), value.dtype)
            known = first.setdefault(place, node) if value.numel() else node
            if known is not node:
                node.replace_all_uses_with(known)
                module.graph.erase_node(node)
                continue
        specs.append(spec)
    module.recompile()
    return rebuilt(program, module, specs, list(program.graph_signature.output_specs))


def copied_graph(program: ExportedProgram) -> GraphModule:
    """A copy whose nodes have the names that the signature knows.

    fx renames what is called like something of Python, such as `input`.
    """
    module: GraphModule = copy.deepcopy(program.graph_module)
    for old, new in zip(program.graph.nodes, module.graph.nodes, strict=True):
        new.name = old.name
        if new.op == "placeholder":
            new.target = old.target
    return module


def rebuilt(
    program: ExportedProgram,
    module: GraphModule,
    inputs: list[InputSpec],
    outputs: list[OutputSpec],
    **changes: Any,
) -> ExportedProgram:
    """`program` with another graph or signature, and other fields as `changes` says."""
    kept = {spec.target for spec in inputs}
    fields = {
        "module_call_graph": program.module_call_graph,
        "example_inputs": program.example_inputs,
        **changes,
    }
    return ExportedProgram(
        root=module,
        graph=module.graph,
        graph_signature=ExportGraphSignature(inputs, outputs),
        state_dict={k: v for k, v in program.state_dict.items() if k in kept},
        range_constraints=program.range_constraints,
        constants={
            k: v
            for k, v in program.constants.items()
            if k in kept or not isinstance(v, torch.Tensor)
        },
        verifiers=[program.verifier],
        **fields,
    )


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
        if spec.kind in STORED
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
