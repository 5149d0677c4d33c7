"""`tilecast quantize MODEL -o OUT.pt2`: quantize by a spec, or choose formats within a budget."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...dialects.errors import InvalidInputError, OptionError
from .model_argument import load_model
from .output import json_flag, print_json, print_table

if TYPE_CHECKING:
    from ..quantize.allocation import Allocation, Choice, Unit

BYTES = {"B": 1.0, "KB": 1e3, "MB": 1e6, "GB": 1e9}
SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


@click.command("quantize")
@click.argument("model")
@click.option("--weights", "spec", help="Format, or pattern=format pairs: 'head=none,*=u4:g128'.")
@click.option("--budget", help="Average bits of a weight, scales included: 3.5bits.")
@click.option("--size", help="Bytes of all quantized weights: 40MB.")
@click.option("--latency", help="Predicted time of one vector through all layers: 12ms.")
@click.option("--formats", help="Candidate formats for a budget, separated by commas.")
@click.option("--method", type=click.Choice(["rtn", "mse", "gptq"]), help="Quantizer.")
@click.option("--calibration", help="package.module:callable giving tuples of inputs.")
@click.option("--smooth", type=click.FloatRange(0, 1), help="Share of activations' ranges to move.")
@click.option("--rotate", is_flag=True, help="Rotate values wherever that cancels.")
@click.option("--outliers", type=click.FloatRange(0, 1), help="Share of columns to keep in f32.")
@click.option(
    "--low-rank", type=click.IntRange(1), help="Rank of a product that takes errors back."
)
@click.option("--plot", type=click.Path(path_type=Path), help="PNG of the Pareto front.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The .pt2 file to write.")
@json_flag
def quantize_command(
    model: str,
    spec: str | None,
    budget: str | None,
    size: str | None,
    latency: str | None,
    formats: str | None,
    method: Any,
    calibration: str | None,
    plot: Path | None,
    output: Path | None,
    as_json: bool,
    **steps: Any,
) -> None:
    """Quantize the linear layers of MODEL; with a budget, choose the format of each.

    --smooth, --rotate, --outliers and --low-rank change the model around the codes of --weights.

    Without --calibration the model's own example inputs are what it is calibrated with.
    """
    budgets: tuple[tuple[str | None, Unit], ...] = (
        (budget, "bits"),
        (size, "bytes"),
        (latency, "seconds"),
    )
    wanted = [(text, unit) for text, unit in budgets if text is not None]
    if (spec is not None) + len(wanted) != 1:
        raise click.UsageError("give one of --weights, --budget, --size and --latency")
    if output is not None and output.suffix != ".pt2":
        raise click.UsageError(f"--output {output}: expected a name that ends in .pt2")
    if spec is not None and (formats or plot):
        raise click.UsageError("--formats and --plot belong to a budget")
    asked = {name: value for name, value in steps.items() if value}
    if asked and spec is None:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in asked)
        raise click.UsageError(f"{names}: only with --weights")
    limit = quantity(*wanted[0]) if wanted else 0.0
    loaded = load_model(model)
    if loaded.is_kernel:
        raise InvalidInputError(f"{model} is a kernel: only models have weights to quantize")
    example = loaded.example_inputs
    assert example is not None
    from ..quantize.model import quantize, with_tensors
    from ..quantize.storage import save_program

    data = [example] if calibration is None else calibration_of(calibration)
    if spec is not None:
        needed = calibration is not None or method == "gptq" or asked
        # inputs given for a step alone are no wish for another quantizer
        method = method or (None if calibration is not None else "rtn")
        found = quantize(
            loaded.model, spec, method=method, calibration=data if needed else None, **asked
        )
        facts: dict[str, Any] = {"weights": spec, **asked}
    else:
        unit = wanted[0][1]
        allocation = allocated(loaded.model, data, formats, method)
        choice, front = allocation.choose(limit, unit), allocation.front(unit)
        found = with_tensors(loaded.model, allocation.tensors_of(choice))
        facts = {"weights": choice.spec(), "choice": asdict(choice)}
        facts["front"] = [asdict(point) for point in front]
        if plot is not None:
            draw_front(front, choice, unit, plot)
    if output is not None:
        save_program(exported_with_codes(found, example), output)
        facts["output"] = str(output)
    report(facts, as_json)


def quantity(text: str, unit: Unit) -> float:
    """A number with its unit, such as 3.5bits, 40MB or 12ms; OptionError for anything else."""
    scales = {"bits": {"bits": 1.0, "": 1.0}, "bytes": BYTES, "seconds": SECONDS}[unit]
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", text.strip())
    if match is None or match[2] not in scales or float(match[1]) <= 0:
        known = ", ".join(name for name in scales if name)
        raise OptionError(f"budget {text!r}: expected a positive number and one of {known}")
    return float(match[1]) * scales[match[2]]


def calibration_of(argument: str) -> list[tuple[Any, ...]]:
    """What `package.module:callable` returns, which must be a sequence of argument tuples."""
    from .model_argument import call_argument

    found = call_argument(argument)
    if not isinstance(found, list | tuple) or not all(isinstance(x, tuple) for x in found):
        raise InvalidInputError(f"{argument}: expected a list of tuples of inputs")
    return list(found)


def allocated(
    model: Any, data: list[tuple[Any, ...]], formats: str | None, method: Any
) -> Allocation:
    """All layers measured in all candidate formats."""
    from ..probe.probe import known_speeds
    from ..quantize.allocation import CANDIDATES, Allocation
    from ..runtime.cache import open_store
    from ..runtime.toolchain import find_toolchain
    from ..target import native_machine, physical_cores

    speeds = known_speeds(native_machine(), find_toolchain(), open_store())
    candidates = CANDIDATES if formats is None else tuple(formats.split(","))
    threads = physical_cores()
    return Allocation(
        model, data, speeds, candidates=candidates, method=method or "gptq", threads=threads
    )


def exported_with_codes(model: Any, example: tuple[Any, ...]) -> Any:
    """`model` as a program that carries its codes."""
    from torch.export import ExportedProgram

    from ..frontend.export import export_model
    from ..quantize.model import quantized_weights, with_quantized_weights

    if isinstance(model, ExportedProgram):
        return model
    program = export_model(model, example, {})
    assert quantized_weights(model)
    return with_quantized_weights(program, model, None)


def draw_front(front: list[Choice], choice: Choice, unit: Unit, path: Path) -> None:
    """Error against cost, with the choice marked; InvalidInputError without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InvalidInputError("--plot needs matplotlib: pip install tilecast[report]") from error
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot([getattr(p, unit) for p in front], [p.error for p in front], "o-", label="front")
    axes.plot([getattr(choice, unit)], [choice.error], "s", label="choice")
    axes.set(xlabel=unit, ylabel="predicted error of the outputs", yscale="log")
    axes.legend()
    try:
        figure.savefig(path, format="png", dpi=120)
    except OSError as error:
        raise InvalidInputError(f"cannot write {path}: {error.strerror or error}") from error


def report(facts: dict[str, Any], as_json: bool) -> None:
    """What was chosen, and the front that it lies on."""
    if as_json:
        print_json(facts)
        return
    click.echo(f"weights: {facts['weights']}")
    if "front" in facts:
        header = ["bits", "MB", "ms", "error"]
        rows = [
            [
                f"{point['bits']:.2f}",
                f"{point['bytes'] / 1e6:.2f}",
                f"{point['seconds'] * 1e3:.3f}",
                f"{point['error']:.3e}",
            ]
            for point in (*facts["front"], facts["choice"])
        ]
        print_table(["", *header], [["", *row] for row in rows[:-1]] + [["choice", *rows[-1]]])
    if "output" in facts:
        click.echo(f"saved to {facts['output']}")
