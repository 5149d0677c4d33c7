"""`tilecast explain MODEL`: the kernels, what is in each, and how often it is called."""

from __future__ import annotations

from collections import Counter
from typing import Any

import click

from .model_argument import load_model
from .option_flags import given_options, option_flags
from .output import json_flag, print_json, print_table


@click.command("explain")
@click.argument("model")
@option_flags("stop_after", "verify", "cache")
@json_flag
def explain_command(model: str, as_json: bool, **flags: Any) -> None:
    """Show the kernels that MODEL becomes: operators, calls, tensor sizes."""
    from ..driver import compile as compile_model

    loaded = load_model(model)
    options = given_options(flags) | {"stop_after": "fuse"}
    kernels = kernel_facts(compile_model(loaded.model, loaded.example_inputs, **options))
    if as_json:
        print_json(kernels)
        return
    total = sum(kernel["calls"] for kernel in kernels)
    click.echo(f"{len(kernels)} kernels, {total} calls")
    print_table(
        ["kernel", "calls", "operators", "arguments", "results"],
        [[k["kernel"], k["calls"], k["operators"], k["arguments"], k["results"]] for k in kernels],
    )


def kernel_facts(module: Any) -> list[dict[str, Any]]:
    """One entry per kernel function of `module` (graph level, after fusion), in call order."""
    from xdsl.dialects.func import FuncOp

    from ...dialects.graph import LaunchOp

    launches = [op for op in module.walk() if isinstance(op, LaunchOp)]
    calls = Counter(op.kernel.root_reference.data for op in launches)
    functions = {op.sym_name.data: op for op in module.walk() if isinstance(op, FuncOp)}
    facts = []
    for name, count in calls.items():
        function = functions[name]
        operators = Counter(
            _operator_name(op) for op in function.walk() if op.name.startswith("graph.")
        )
        facts.append(
            {
                "kernel": name,
                "calls": count,
                "operators": " ".join(op if n == 1 else f"{op}*{n}" for op, n in operators.items()),
                "arguments": " ".join(_type_text(t) for t in function.function_type.inputs),
                "results": " ".join(_type_text(t) for t in function.function_type.outputs),
            }
        )
    return facts


def _operator_name(op: Any) -> str:
    function = op.properties.get("fn")
    name: str = op.name.removeprefix("graph.")
    return name if function is None else str(function.data)


def _type_text(type: Any) -> str:
    return str(type).removeprefix("tensor<").removesuffix(">")
