"""`tilecast run MODEL|PACKAGE`: run once, print the outputs or write them to a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .kernel_flags import kernel_flags, kernel_keywords
from .option_flags import given_options, option_flags
from .output import json_flag, print_json, print_table
from .runnable import load_runnable, read_inputs


@click.command("run")
@click.argument("model")
@click.option(
    "--inputs",
    type=click.Path(path_type=Path),
    help="safetensors file with input_0, input_1, ...; by default the model's example inputs.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Write output_0, output_1, ... to this safetensors file.",
)
@kernel_flags
@option_flags("stop_after")
@json_flag
def run_command(
    model: str,
    inputs: Path | None,
    output: Path | None,
    sizes: tuple[str, ...],
    schedule: Path | None,
    as_json: bool,
    **flags: Any,
) -> None:
    """Run MODEL (compiled first) or a saved PACKAGE once.

    Files of a kernel hold its arguments by name.
    """
    import torch
    from safetensors.torch import save_file
    from torch.utils import _pytree as pytree

    keywords = kernel_keywords(sizes, schedule)
    runnable = load_runnable(model, given_options(flags), keywords)
    if runnable.is_kernel:
        from ..kernels.compiled import CompiledKernel
        from .run_kernel import run_kernel

        assert isinstance(runnable.program, CompiledKernel)
        print_facts(run_kernel(runnable.program, inputs, output), as_json)
        return
    leaves = pytree.tree_leaves(runnable.inputs)
    arguments = runnable.inputs
    if inputs is not None:
        structure = pytree.tree_structure(runnable.inputs)
        arguments = pytree.tree_unflatten(read_inputs(inputs, len(leaves)), structure)
    results = pytree.tree_leaves(runnable.program(*arguments))
    tensors = {
        f"output_{n}": value for n, value in enumerate(results) if isinstance(value, torch.Tensor)
    }
    if output is not None:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, output)
    print_facts([describe(name, tensor) for name, tensor in tensors.items()], as_json)


def print_facts(facts: list[dict[str, Any]], as_json: bool) -> None:
    """One line per output."""
    if as_json:
        print_json(facts)
    else:
        print_table(list(facts[0]) if facts else [], [list(fact.values()) for fact in facts])


def describe(name: str, tensor: Any) -> dict[str, Any]:
    """Name, type, shape and range of an output."""
    values = tensor.double() if tensor.numel() else tensor.new_zeros(1).double()
    return {
        "name": name,
        "dtype": str(tensor.dtype).removeprefix("torch."),
        "shape": "x".join(map(str, tensor.shape)) or "scalar",
        "min": f"{values.min().item():.6g}",
        "max": f"{values.max().item():.6g}",
        "mean": f"{values.mean().item():.6g}",
    }
