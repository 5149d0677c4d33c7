"""Check the whole program against PyTorch in float64, eager float32 measured for comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.export import ExportedProgram

from ...dialects.errors import VerifyFailure
from ...dialects.reference.number_types import is_float_type
from ..frontend.tensor_types import to_numpy
from ..runtime.artifact import Artifact
from ..runtime.call_sizes import CallSizes, shape_at
from ..runtime.library import Library
from ..runtime.signature import Signature
from .compare import compare, compare_exact
from .eager import DoubleInterpreter, run_program
from .near_ties import possible_results, spread_of
from .poison import poison_tensor
from .report import CheckResult
from .rounded_operands import INTERPRETERS
from .sizes import resized_leaves, size_points

Condition = tuple[str, str]
THREADS = "the number of threads", "with one thread"
SHARED = "where it is", "in the memory of an input"


def check_model(
    program: ExportedProgram,
    artifact: Artifact,
    library: Library,
    leaves: Sequence[Any],
    seed: int,
) -> list[CheckResult]:
    """Rows for the sizes of the example, and for others where sizes are known at run time only."""
    signature = artifact.signature
    rng = np.random.default_rng(seed)
    results: list[CheckResult] = []
    for values in [{}, *size_points(signature.sizes, rng)] if signature.sizes else [{}]:
        inputs = fresh_leaves(resized_leaves(signature, leaves, values), seed)
        try:
            references = run_program(program, inputs, DoubleInterpreter, signature.changed)
        except (IndexError, RuntimeError, ValueError):
            if not values:
                raise
            continue  # integers of the example that are cut or repeated may index what is not there
        rows = check_once(program, artifact, library, inputs, references, seed)
        place = ", ".join(f"{name}={value}" for name, value in values.items())
        results += [replace(row, name=f"{row.name} at {place}") for row in rows] if values else rows
    return results


def check_once(
    program: ExportedProgram,
    artifact: Artifact,
    library: Library,
    inputs: Sequence[Any],
    references: Sequence[Tensor],
    seed: int,
) -> list[CheckResult]:
    """One row per output, on fresh random floats; integer inputs are those of the example.

    Outputs that differ from the reference are compared with what other rounding errors would have
    led to.

    Results must be the same bits with one thread and with all threads.
    """
    signature, arena_bytes = artifact.signature, artifact.arena_bytes
    eager = INTERPRETERS[artifact.precision]
    natives = run_program(program, inputs, eager, signature.changed)
    tensors = [inputs[position].contiguous() for position in signature.positions]
    found = run_poisoned(library, signature, tensors, arena_bytes, library.threads.value)
    alone = run_poisoned(library, signature, tensors, arena_bytes, 1)
    changed = found
    if artifact.in_place:
        threads = library.threads.value
        changed = run_poisoned(library, signature, tensors, arena_bytes, threads, artifact.in_place)
    results = []
    for k, leaf in enumerate(signature.computed):
        if leaf.kind != "result":
            continue
        name = f"output {k}"
        check_same_bits(name, found[leaf.index], alone[leaf.index], THREADS)
        check_same_bits(name, found[leaf.index], changed[leaf.index], SHARED)
        result, reference, native = (
            to_numpy(tensor) for tensor in (found[leaf.index], references[k], natives[k])
        )
        length = artifact.reduction_length
        row = compare("model", name, result, reference, native, length)
        if not row.passed:
            runs = possible_results(program, inputs, seed, signature.changed)
            others = [to_numpy(run[k]) for run in runs]
            if is_float_type(result.dtype):
                spread = spread_of(reference, others)
                row = compare("model", name, result, reference, native, length, spread)
            else:
                row = compare_exact("model", name, result, reference, [native, *others])
        results.append(row)
    return results


def fresh_leaves(leaves: Sequence[Any], seed: int) -> list[Any]:
    """`leaves` with every float tensor replaced by random normal numbers of its type and shape."""
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(leaf.shape, generator=generator).to(leaf.dtype)
        if isinstance(leaf, Tensor) and leaf.is_floating_point()
        else leaf
        for leaf in leaves
    ]


def run_poisoned(
    library: Library,
    signature: Signature,
    inputs: Sequence[Tensor],
    arena_bytes: int,
    threads: int,
    in_place: Sequence[tuple[int, int]] = (),
) -> list[Tensor]:
    """The program's results, with outputs and arena full of NaN before; for each (input, output) of
    `in_place`, the output has the memory of the input, of which there is a copy here."""
    inputs = [tensor.clone() for tensor in inputs] if in_place else inputs
    shared = {j: inputs[k] for k, j in in_place}
    values: dict[str, int] = {}
    if signature.sizes:
        sizes = CallSizes(signature.sizes, signature.inputs)
        values = sizes.bind([tensor.shape for tensor in inputs])
        inputs = [*inputs, torch.tensor(list(values.values()))]
    outputs = [
        shared[j].view(shape_at(spec, values))
        if j in shared
        else poison_tensor(shape_at(spec, values), spec.torch_dtype)
        for j, spec in enumerate(signature.results)
    ]
    arena = np.full(arena_bytes + 64, 0xFF, np.uint8)
    library.run_program(inputs, outputs, arena[-arena.ctypes.data % 64 :], threads)
    return outputs


def check_same_bits(name: str, left: Tensor, right: Tensor, condition: Condition) -> None:
    """VerifyFailure where two runs differ in any bit, `condition` being what they differ in."""
    if left.numel() == 0:
        return
    bits = [t.reshape(-1).view(torch.uint8).reshape(left.numel(), -1) for t in (left, right)]
    differing = (bits[0] != bits[1]).any(dim=1).nonzero()
    if differing.numel():
        element = int(differing[0])
        raise VerifyFailure(
            f"{name}: the result depends on {condition[0]}; first at flat element "
            f"{element}: {left.reshape(-1)[element].item()!r} and "
            f"{right.reshape(-1)[element].item()!r} {condition[1]}"
        )
