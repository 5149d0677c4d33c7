"""Complex numbers become two real tensors each, before the import, which knows real ones alone.

before: z = view_as_complex(x) * w                       # w: a complex buffer
after:  re = x[..., 0] * w_re - x[..., 1] * w_im ; im = x[..., 0] * w_im + x[..., 1] * w_re

The graph runs on fake tensors, with `Parts` for complex ones, and is traced: what an operator does
to parts is torch code of `complex_rules.py` and `fourier.py`.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch._guards import detect_fake_mode
from torch.export import ExportedProgram
from torch.export.graph_signature import (
    InputKind,
    InputSpec,
    OutputSpec,
    TensorArgument,
)
from torch.fx import GraphModule, Interpreter, Node
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.traceback import preserve_node_meta

from .complex_rules import Parts, applied, has_rule, is_complex, reads_complex, touches_complex
from .coverage import Gaps
from .states import STORED, rebuilt

GIVEN = "complex inputs are not supported: give torch.view_as_real(x)"
RETURNED = "complex results are not supported: return torch.view_as_real(z)"
NO_RULE = "it has no rule for complex numbers: compute with real and imaginary parts"
KINDS_STORED = (*STORED, InputKind.PARAMETER)


def with_real_parts(program: ExportedProgram) -> ExportedProgram:
    """`program` on real tensors; itself where all are. UnsupportedOperatorError lists what cannot
    be on parts."""
    if not any(map(is_complex, program.graph.nodes)):
        return program
    check_rules(program)
    inputs = [node for node in program.graph.nodes if node.op == "placeholder"]
    fakes = [fake for node in inputs for fake in fake_parts(node)]

    def run(*values: Any) -> Any:
        rest = iter(values)
        given = [Parts(next(rest), next(rest)) if is_complex(n) else next(rest) for n in inputs]
        return PartsInterpreter(program.graph_module).run(*given, enable_io_processing=False)

    mode = detect_fake_mode(fakes)
    assert mode is not None
    with mode, preserve_node_meta(), torch.no_grad():
        module = make_fx(run, tracing_mode="real", _allow_non_fake_inputs=True)(*fakes)
    return signed(program, module, inputs)


class PartsInterpreter(Interpreter):
    """Runs a graph on parts."""

    def run_node(self, n: Node) -> Any:
        """The node's result; `Parts` where it is complex."""
        if n.op != "call_function" or not touches_complex(n):
            return super().run_node(n)
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        with self._set_current_node(n):
            return applied(n.target, args, kwargs)


def check_rules(program: ExportedProgram) -> None:
    """UnsupportedOperatorError that lists operators without a rule for complex numbers, and complex
    inputs and results."""
    gaps = Gaps()
    stored = {s.arg.name for s in program.graph_signature.input_specs if s.kind in KINDS_STORED}
    for node in program.graph.nodes:
        if node.op == "placeholder" and is_complex(node) and node.name not in stored:
            gaps.add(node, GIVEN)
        elif node.op == "output" and reads_complex(node):
            gaps.add(node, RETURNED)
        elif node.op == "call_function" and touches_complex(node) and not has_rule(node.target):
            gaps.add(node, NO_RULE)
    gaps.check()


def fake_parts(node: Node) -> list[Any]:
    """What stands for an input: itself, or its two parts."""
    value: Any = node.meta.get("val")
    return [value.real.clone(), value.imag.clone()] if is_complex(node) else [value]


def signed(
    program: ExportedProgram, module: GraphModule, inputs: Sequence[Node]
) -> ExportedProgram:
    """The traced `module` as a program: its placeholders, constants and results named, and complex
    weights in parts."""
    specs = {spec.arg.name: spec for spec in program.graph_signature.input_specs}
    tensors: dict[str, Any] = {**program.constants, **program.state_dict}
    new_specs, constants = [], dict(program.constants)
    rest = iter([node for node in module.graph.nodes if node.op == "placeholder"])
    for old in inputs:
        spec = specs[old.name]
        if not is_complex(old):
            rename(next(rest), old.name)
            new_specs.append(spec)
            continue
        for part in ("real", "imag"):
            new, target = next(rest), f"{spec.target}.{part}"
            rename(new, f"{old.name}_{part}")
            constants[target] = getattr(tensors[str(spec.target)].detach(), part).clone()
            new_specs.append(constant_input(new, target))
    new_specs = [*lifted_constants(module, constants), *new_specs]
    module.graph.eliminate_dead_code()
    module.recompile()
    results = next(n for n in module.graph.nodes if n.op == "output").args[0]
    outputs = [
        OutputSpec(spec.kind, TensorArgument(node.name), spec.target)
        if isinstance(node, Node)
        else spec
        for spec, node in zip(program.graph_signature.output_specs, results, strict=True)
    ]
    source = copy.copy(program)
    source._constants = constants
    return rebuilt(source, module, new_specs, outputs)


def rename(node: Node, name: str) -> None:
    """Call a placeholder as the signature does."""
    node.name = node.target = name


def constant_input(node: Node, target: str) -> InputSpec:
    """A placeholder for a constant tensor."""
    return InputSpec(InputKind.CONSTANT_TENSOR, TensorArgument(node.name), target)


def lifted_constants(module: GraphModule, constants: dict[str, Any]) -> list[InputSpec]:
    """Tensors that tracing left in the module become inputs, the first ones; `constants` gets
    them."""
    inputs: dict[str, Node] = {}
    for node in [n for n in module.graph.nodes if n.op == "get_attr"]:
        target = str(node.target)
        value = getattr(module, target)
        if not isinstance(value, Tensor):
            continue
        if target not in inputs:
            with module.graph.inserting_before(next(iter(module.graph.nodes))):
                inputs[target] = module.graph.placeholder(f"c{target}")
            inputs[target].meta = dict(node.meta)
            constants[inputs[target].name] = value
        node.replace_all_uses_with(inputs[target])
        module.graph.erase_node(node)
    return [constant_input(node, node.name) for node in reversed(inputs.values())]
