"""Whether the machine and the weights of a program have products with the activations asked for."""

from __future__ import annotations

from torch.export import ExportedProgram

from ...costmodel.hardware import Machine
from ...dialects.errors import OptionError
from .model import activations_of, quantized_weights

FP8_TARGETS = ("sm_89", "sm_90")
FP8_WEIGHTS = "integers of 1 to 4 bits, eXmY with X <= 4 and Y <= 3, e4m3, e5m2"


def check_activations(program: ExportedProgram, machine: Machine) -> None:
    """OptionError for int16 activations on GPUs, and for fp8 activations where the target or a
    weight's format has no fp8 product."""
    activations = activations_of(program)
    if activations == "int16" and machine.is_gpu:
        raise OptionError(
            "activations='int16' are products of bytes on CPUs: expected a CPU as target, found "
            f"{machine.name!r}; choose activations='int8' or 'f32'"
        )
    if activations != "fp8":
        return
    from ...dialects.tile.atoms import E4M3  # brings in isl, which cached models skip
    from ...passes.tile.quantized_plan import forms

    if machine.name not in FP8_TARGETS:
        raise OptionError(
            "activations='fp8' needs tensor cores for fp8: expected target "
            f"{' or '.join(FP8_TARGETS)}, found {machine.name!r}; choose one, or activations='int8'"
        )
    for name, tensor in quantized_weights(program).items():
        if forms(tensor.format, E4M3) is None:
            raise OptionError(
                f"activations='fp8': expected weights that fp8 has exactly ({FP8_WEIGHTS}), and "
                f"scales of rows or groups of a multiple of 32; found {tensor.format} for {name}: "
                "choose another format for it, or activations='int8' or 'f32'"
            )
