"""One kernel in three languages: C, C with OpenMP, CUDA; each built, run and compared.

in:  a kernel at the linalg level
out: its `Member`s, whose arguments are the same but for scratch arrays at the end
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, ModuleOp
from xdsl.dialects.func import FuncOp

from ...codegen.c import emit_unit
from ...codegen.cuda.call import emit_cuda_device_error
from ...codegen.cuda.unit import cuda_headers, emit_cuda_unit
from ...dialects.errors import DeviceError
from ...passes.context import CompileContext
from ...passes.loops.kernel_interface import KernelInterface
from ...passes.poly.rules.choice import ALWAYS_PARALLEL
from ..pipeline import pipeline_for, run_stage
from ..runtime.cache import Store
from ..runtime.toolchain import build_library, toolchain_for
from ..target import resolve_target
from ..verify.kernels import Array, Evaluation, check_evaluated, storage_type
from ..verify.report import CheckResult

STAGES = ("schedule", "loops")
DEVICE = "device.cu"


def device_files() -> dict[str, str]:
    """What CUDA members are linked with, and the headers; g++ builds them for the CPU."""
    stream = "\nthread_local cudaStream_t tilecast_stream;\n"
    return {DEVICE: emit_cuda_device_error("pair") + stream, **cuda_headers()}


@dataclass(frozen=True)
class Language:
    """A form of a kernel: `target` as for `tilecast.compile`, and how its file is called."""

    name: str
    target: str
    suffix: str
    flags: str


def languages(gpu: str) -> tuple[Language, ...]:
    """The three forms of every kernel; CUDA for the architecture `gpu`."""
    return (
        Language("c", "c99", ".c", "-std=c11 -O2 -ffp-contract=off"),
        Language("openmp", "generic", ".omp.c", "-std=c11 -O2 -ffp-contract=off -fopenmp"),
        Language("cuda", gpu, ".cu", f"-std=c++17 -fmad=false -arch {gpu}"),
    )


@dataclass(frozen=True)
class Member:
    """A kernel in one language, with what verification found. `scratch` is (dtype, shape, what each
    byte is before a call) of the arrays that the function wants after its results."""

    language: Language
    text: str
    scratch: tuple[tuple[str, tuple[int, ...], int], ...]
    results: tuple[CheckResult, ...]

    @property
    def is_parallel(self) -> bool:
        """Whether its loops are shared by threads."""
        return "#pragma omp" in self.text or "TILECAST_LAUNCH" in self.text


def plain_kernel(kernel: FuncOp) -> FuncOp:
    """A copy whose weights are ordinary arguments: no language packs them in a way of its own."""
    copy = kernel.clone()
    if copy.arg_attrs is not None:
        kept = [
            DictionaryAttr({k: v for k, v in entry.data.items() if k != "tilecast.weight"})
            for entry in copy.arg_attrs
        ]
        copy.properties["arg_attrs"] = ArrayAttr(kept)
    return copy


def lower_kernel(kernel: FuncOp, target: str) -> FuncOp:
    """The loops of a plain kernel; every loop that may be is parallel where there are threads."""
    context = CompileContext()
    context.machine = machine = resolve_target(target)
    if machine.name == "generic":
        context.threads = 2  # the emitted loops take any number
        context.recorded_schedule = lambda _: f"parallel_work={ALWAYS_PARALLEL}"
    module = ModuleOp([kernel.clone()])
    for stage in pipeline_for(machine):
        if stage.name in STAGES:
            run_stage(stage, context, module)
    (loops,) = (op for op in module.ops if isinstance(op, FuncOp))
    return loops


def make_member(kernel: FuncOp, language: Language, evaluation: Evaluation, store: Store) -> Member:
    """The member of a plain kernel in one language, run on the arguments of `evaluation`."""
    loops, machine = lower_kernel(kernel, language.target), resolve_target(language.target)
    name = kernel.sym_name.data
    units: dict[str, str] = {}
    if machine.is_gpu:
        text = emit_cuda_unit([loops], machine, "")
        units = device_files()
    else:
        text = emit_unit([loops], machine)
    units[f"{name}{language.suffix}"] = text
    content = build_library(units, toolchain_for(machine), machine, store)
    with store.scratch_file(content) as path:
        library = KernelLibrary(ctypes.CDLL(str(path)))
        results = tuple(check_evaluated(kernel, loops, library, evaluation))
    return Member(language, text, scratch_arrays(loops), results)


def scratch_arrays(loops: FuncOp) -> tuple[tuple[str, tuple[int, ...], int], ...]:
    """Types of the arrays that only serve the function itself, and their bytes before a call."""
    interface = KernelInterface(loops)
    found: list[tuple[str, tuple[int, ...], int]] = []
    for position in interface.scratch:
        type = interface.type_of(position)
        fill = 0 if position in interface.semaphores else 255
        found.append((storage_type(type.element_type).name, tuple(type.get_shape()), fill))
    return tuple(found)


class KernelLibrary:
    """A shared library of kernels under their own names."""

    def __init__(self, library: Any) -> None:
        self.library = library

    def run_kernel(self, name: str, arrays: list[Array], sizes: Sequence[int] = ()) -> None:
        """Call a kernel; DeviceError where the emulated device met an error."""
        assert not sizes, "kernels of pairs have fixed sizes"
        kernel = self.library[name]
        kernel.restype = None
        kernel(*(ctypes.c_void_p(array.ctypes.data) for array in arrays))
        error = getattr(self.library, "pair_device_error", None)
        if error is not None:
            error.restype = ctypes.c_char_p
            if message := error():
                raise DeviceError(f"CUDA kernel {name} failed: {message.decode()}")
