"""A compiled model as the content of a standalone source package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from torch.export import ExportedProgram

from ...codegen.package import (
    CheckData,
    CheckOutput,
    PackageContent,
    Program,
    StateData,
    TensorSignature,
    write_package,
)
from ...codegen.package.cpu_features import feature_flags, known_features
from ...dialects.reference.number_types import is_float_type
from ..frontend.tensor_types import to_numpy
from ..verify.compare import allowed_error
from ..verify.eager import DoubleInterpreter, run_program
from ..verify.model import fresh_leaves
from ..verify.rounded_operands import INTERPRETERS
from .artifact import Artifact
from .call_sizes import CallSizes
from .library import CALL_SOURCE, CUDA_CALL_SOURCE
from .signature import TensorSpec

CHECK_SEED = 1


def save_artifact(
    artifact: Artifact,
    directory: str | Path,
    program: ExportedProgram,
    leaves: Sequence[Any],
    inline_weights: bool = False,
    others: Sequence[Artifact] = (),
    states: Sequence[Tensor] = (),
) -> Path:
    """Write the package of `artifact`; its check compares with PyTorch in float64.

    `others` are the same model for less able CPUs, best first: one is chosen at run time. `states`
    are what the first inputs, buffers that the model changes, hold before the first call.
    """
    content = package_content([artifact, *others], program, leaves, inline_weights, states)
    return write_package(directory, content)


def package_content(
    artifacts: Sequence[Artifact],
    program: ExportedProgram,
    leaves: Sequence[Any],
    inline_weights: bool,
    states: Sequence[Tensor] = (),
) -> PackageContent:
    """Everything that goes into the package; the interface and the IR are those of the first."""
    first = artifacts[0]
    signature = first.signature
    portable = first.machine.name == "c99"
    single = len(artifacts) == 1
    level = first.machine.name
    if any(artifact.machine.name == level for artifact in artifacts[1:]):
        level += "-extended"  # a CPU of that level with more features
    return PackageContent(
        name=first.name,
        target=first.machine.name,
        inputs=tuple(map(tensor_signature, signature.inputs)),
        outputs=tuple(map(tensor_signature, signature.results)),
        programs=(
            program_of(first, level, single),
            *(program_of(artifact, artifact.machine.name, single) for artifact in artifacts[1:]),
        ),
        check=check_data(first, program, leaves),
        ir=first.ir,
        calling=signature.to_json(),
        states=package_states(artifacts, states),
        in_place=tuple(sorted(updated_in_place(artifacts))),
        sizes=signature.sizes,
        standard="c99" if portable else "c11",
        inline_weights=inline_weights,
        static_arena=portable,
        streamed=first.streamed,
    )


def updated_in_place(artifacts: Sequence[Artifact]) -> set[tuple[int, int]]:
    """The (input, output) pairs that every program allows to be one memory."""
    return set.intersection(*(set(artifact.in_place) for artifact in artifacts))


def package_states(
    artifacts: Sequence[Artifact], states: Sequence[Tensor]
) -> tuple[StateData, ...]:
    """First values of the states, and which outputs hold their next ones."""
    updated = {k: leaf for leaf, k in artifacts[0].signature.mutations}
    shared = updated_in_place(artifacts)
    return tuple(
        StateData(to_numpy(value), k, updated[k].index, (k, updated[k].index) in shared)
        for k, value in enumerate(states)
        if updated[k].kind == "result"
    )


def program_of(artifact: Artifact, level: str, single: bool) -> Program:
    """The program of one artifact; where it is one of several, its flags allow what is asked for.

    A compiler that does not know the CPU's name yet can then build it.
    """
    checked = (
        {result.name: result.to_json() for result in artifact.report.results}
        if (artifact.report is not None)
        else {}
    )
    features = () if artifact.machine.is_gpu else known_features(artifact.machine.features)
    own = tuple(flag for flag in artifact.flags if flag.startswith("-m"))
    calls = {CALL_SOURCE, CUDA_CALL_SOURCE}
    return Program(
        symbol=artifact.name,
        level=level,
        sources={k: v for k, v in artifact.sources.items() if k not in calls},
        weights=artifact.weights,
        arena_bytes=artifact.arena_bytes,
        features=features,
        arch_flags=own if single else feature_flags(features),
        kernels=tuple(
            asdict(kernel) | {"verification": checked.get(kernel.name)}
            for kernel in artifact.kernels
        ),
        facts={
            "compiler": artifact.compiler,
            "threads": artifact.threads,
            "machine": asdict(artifact.machine),
            "arena_lower_bound": artifact.arena_lower_bound,
            "decisions": list(artifact.decisions),
            "compile_seconds": {k: round(v, 4) for k, v in artifact.seconds.items()},
            "memory": artifact.memory,
            "verification": None if artifact.report is None else artifact.report.to_json(),
        },
    )


def tensor_signature(spec: TensorSpec) -> TensorSignature:
    """The package's form of a TensorSpec."""
    return TensorSignature(spec.name, spec.dtype, spec.shape)


def check_data(artifact: Artifact, program: ExportedProgram, leaves: Sequence[Any]) -> CheckData:
    """Inputs, reference outputs in the output type, and how far results may be off."""
    signature = artifact.signature
    inputs = fresh_leaves(leaves, CHECK_SEED)
    references = run_program(program, inputs, DoubleInterpreter, signature.changed)
    eager = INTERPRETERS[artifact.precision]
    natives = run_program(program, inputs, eager, signature.changed)
    outputs: dict[int, CheckOutput] = {}
    for k, leaf in enumerate(signature.computed):
        if leaf.kind == "result":
            wide, native = (to_numpy(side[k]) for side in (references, natives))
            outputs[leaf.index] = check_output(wide, native, artifact.reduction_length)
    tensors: list[Tensor] = [inputs[position] for position in signature.positions]
    sizes = CallSizes(signature.sizes, signature.inputs)
    return CheckData(
        inputs=tuple(to_numpy(tensor) for tensor in tensors),
        outputs=tuple(outputs[k] for k in range(len(outputs))),
        sizes=sizes.bind([tensor.shape for tensor in tensors]),
    )


def check_output(reference: Any, native: Any, reduction_length: int) -> CheckOutput:
    """A reference in the type of the model, with the bound that verification uses."""
    if not is_float_type(native.dtype):
        return CheckOutput(np.asarray(native, order="C"), 0.0, 0.0)  # keeps rank 0
    with np.errstate(over="ignore"):
        rounded = np.asarray(reference, native.dtype, order="C")
    absolute, relative = allowed_error(reference, native, reduction_length)
    return CheckOutput(rounded, absolute, relative)
