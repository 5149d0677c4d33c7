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
    TensorSignature,
    write_package,
)
from ...dialects.reference.number_types import is_float_type
from ..frontend.tensor_types import to_numpy
from ..verify.compare import allowed_error
from ..verify.definite import DefiniteInterpreter
from ..verify.eager import DoubleInterpreter, run_program
from ..verify.model import fresh_leaves
from .artifact import Artifact
from .library import CALL_SOURCE
from .signature import TensorSpec

CHECK_SEED = 1


def save_artifact(
    artifact: Artifact,
    directory: str | Path,
    program: ExportedProgram,
    leaves: Sequence[Any],
    inline_weights: bool = False,
) -> Path:
    """Write the package of `artifact`; its check compares with PyTorch in float64."""
    return write_package(directory, package_content(artifact, program, leaves, inline_weights))


def package_content(
    artifact: Artifact, program: ExportedProgram, leaves: Sequence[Any], inline_weights: bool
) -> PackageContent:
    """Everything that goes into the package."""
    signature = artifact.signature
    portable = artifact.machine.name == "c99"
    checked = (
        {result.name: result.to_json() for result in artifact.report.results}
        if (artifact.report is not None)
        else {}
    )
    return PackageContent(
        name=artifact.name,
        target=artifact.machine.name,
        inputs=tuple(map(tensor_signature, signature.inputs)),
        outputs=tuple(map(tensor_signature, signature.results)),
        arena_bytes=artifact.arena_bytes,
        sources={k: v for k, v in artifact.sources.items() if k != CALL_SOURCE},
        weights=artifact.weights,
        check=check_data(artifact, program, leaves),
        ir=artifact.ir,
        kernels=tuple(
            asdict(kernel) | {"verification": checked.get(kernel.name)}
            for kernel in artifact.kernels
        ),
        facts={
            "compiler": artifact.compiler,
            "threads": artifact.threads,
            "arena_lower_bound": artifact.arena_lower_bound,
            "decisions": list(artifact.decisions),
            "verification": None if artifact.report is None else artifact.report.to_json(),
        },
        calling=signature.to_json(),
        arch_flags=tuple(flag for flag in artifact.flags if flag.startswith("-m")),
        standard="c99" if portable else "c11",
        inline_weights=inline_weights,
        static_arena=portable,
    )


def tensor_signature(spec: TensorSpec) -> TensorSignature:
    """The package's form of a TensorSpec."""
    return TensorSignature(spec.name, spec.dtype, spec.shape)


def check_data(artifact: Artifact, program: ExportedProgram, leaves: Sequence[Any]) -> CheckData:
    """Inputs, reference outputs in the output type, and how far results may be off."""
    signature = artifact.signature
    inputs = fresh_leaves(leaves, CHECK_SEED)
    references = run_program(program, inputs, DoubleInterpreter, signature.changed)
    natives = run_program(program, inputs, DefiniteInterpreter, signature.changed)
    outputs: dict[int, CheckOutput] = {}
    for k, leaf in enumerate(signature.computed):
        if leaf.kind == "result":
            wide, native = (to_numpy(side[k]) for side in (references, natives))
            outputs[leaf.index] = check_output(wide, native, artifact.reduction_length)
    tensors: list[Tensor] = [inputs[position] for position in signature.positions]
    return CheckData(
        inputs=tuple(to_numpy(tensor) for tensor in tensors),
        outputs=tuple(outputs[k] for k in range(len(outputs))),
    )


def check_output(reference: Any, native: Any, reduction_length: int) -> CheckOutput:
    """A reference in the type of the model, with the bound that verification uses."""
    if not is_float_type(native.dtype):
        return CheckOutput(np.asarray(native, order="C"), 0.0, 0.0)  # keeps rank 0
    with np.errstate(over="ignore"):
        rounded = np.asarray(reference, native.dtype, order="C")
    absolute, relative = allowed_error(reference, native, reduction_length)
    return CheckOutput(rounded, absolute, relative)
