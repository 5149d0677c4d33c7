"""What nvcc makes of tile programs: no spills, wide loads, tensor cores, no local memory."""

from __future__ import annotations

import numpy as np
import pytest
from tilecast.codegen.cuda.tile.unit import emit_unit
from tilecast.compiler.cuda.nvcc import (
    build_cubin,
    disassembler,
    has_nvcc,
    instructions,
    parse_reports,
)
from tilecast.compiler.cuda.reports import LAUNCH, occupancy, plain_name
from tilecast.dialects.quant import CodebookElement, FloatElement
from tilecast.dialects.quant.element_table import element_named
from tilecast.dialects.tile.atoms import BF16, F16, F32, I8
from tilecast.passes.tile.lowbit_linear import LowbitLinear, default_config
from tilecast.passes.tile.lowbit_matmul import lowbit_program
from tilecast.passes.tile.matmul import MatmulConfig, matmul_program

FLOATS = [f"e{e}m{m}" for e in range(1, 6) for m in range(7) if 3 <= 1 + e + m <= 8]
INTEGERS = [f"{kind}{w}" for kind in ("u", "i", "bipolar") for w in range(1, 9)]
OTHERS = ["ternary", "nf4", "iq4nl", "pow3", "kmeans5", "kmeans8"]
needs_nvcc = pytest.mark.skipif(not has_nvcc(), reason="needs nvcc")


def linear_of(name: str, group: int | None, activation, zeros: bool = False) -> LowbitLinear:  # type: ignore[no-untyped-def]
    element = element_named(name)
    levels = None
    if isinstance(element, CodebookElement):
        levels = tuple(np.linspace(-1, 1, 1 << element.width).tolist())
    elif isinstance(element, FloatElement):
        name = element.as_finite().name if name != "e5m2" else name
    config = default_config(group)
    return LowbitLinear(8192, 8192, name, group, zeros, activation, config, levels)


def check(programs, architecture: str) -> None:  # type: ignore[no-untyped-def]
    cubin = build_cubin(emit_unit(programs, "test"), architecture)
    assert cubin.warnings == ""
    assert len(cubin.reports) == len(programs)
    for report in cubin.reports:
        assert (report.spill_bytes, report.stack_bytes) == (0, 0), report
    if disassembler() is None:
        return
    for kernel, opcodes in instructions(cubin).items():
        assert any(op.startswith("LDGSTS") and op.endswith("128") for op in opcodes), kernel
        assert any(op.startswith(("HMMA", "IMMA", "HGMMA")) for op in opcodes), kernel
        assert not [op for op in opcodes if op.startswith(("LDL", "STL"))], kernel


@pytest.mark.needs_nvcc
@needs_nvcc
def test_shipped_programs_have_no_spills() -> None:
    check(
        [
            matmul_program("f16", F16, (4096, 4096), MatmulConfig(2, 4, (4, 2, 2), 4)),
            lowbit_program("u4", linear_of("u4", 128, F16, zeros=True)),
            lowbit_program("e3m2", linear_of("e3m2", None, BF16)),
        ],
        "sm_80",
    )


@pytest.mark.slow
@pytest.mark.needs_nvcc
@needs_nvcc
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize("activation", [F16, BF16], ids=str)
@pytest.mark.parametrize("elements", [INTEGERS, FLOATS, OTHERS], ids=lambda names: names[0])
def test_no_format_spills(elements: list[str], activation, architecture: str) -> None:  # type: ignore[no-untyped-def]
    programs = [
        lowbit_program(f"{name}_{group}", linear_of(name, group, activation))
        for name in elements
        for group in (None, 128)
    ]
    programs += [lowbit_program("small", linear_of("u3", 16, activation, zeros=True))]
    programs += [lowbit_program("mx", linear_of("e2m1", 32, activation))]
    check(programs, architecture)


@pytest.mark.slow
@pytest.mark.needs_nvcc
@needs_nvcc
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
def test_no_type_of_matmul_spills(architecture: str) -> None:
    config = MatmulConfig(2, 4, (2, 2, 2), 4, 8)
    elements = {"f16": F16, "bf16": BF16, "tf32": F32, "s8": I8}
    check([matmul_program(n, e, (1024, 1024), config) for n, e in elements.items()], architecture)


def test_reports_are_read() -> None:
    text = (
        "ptxas info    : Compiling entry function 'k' for 'sm_80'\n"
        "ptxas info    : Function properties for k\n"
        "    8 bytes stack frame, 4 bytes spill stores, 12 bytes spill loads\n"
        "ptxas info    : Used 40 registers, used 1 barriers, 396 bytes cmem[0]\n"
    )
    (report,) = parse_reports(text)
    assert (report.symbol, report.registers, report.stack_bytes, report.spill_bytes) == (
        "k", 40, 8, 16,
    )  # fmt: skip


def test_occupancy_is_what_fits() -> None:
    assert occupancy("sm_80", 256, 32, 0) == 1.0
    assert occupancy("sm_80", 256, 128, 0) == 0.25  # registers
    assert occupancy("sm_80", 128, 32, 80 * 1024) == 0.125  # shared memory
    assert occupancy("sm_90", 32, 16, 0) == 0.5  # blocks


def test_launches_are_read_from_sources() -> None:
    text = "    TILECAST_LAUNCH(m_k_kernel, dim3(4, 2, 1), dim3(128), 4096, tilecast_stream, x);\n"
    assert LAUNCH.findall(text) == [("m_k_kernel", "4, 2, 1", "128", "4096")]
    assert plain_name("_Z10m_k_kernelPKfPf") == "m_k_kernel"
    assert plain_name("_ZL10m_k_kernelPKfPf") == "m_k_kernel"
