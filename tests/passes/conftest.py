"""Kernels as text, and the ways to run one: linalg evaluator, scop interpreter, loops interpreter.

Float inputs are small integers unless asked otherwise, so that sums are exact in any order and
results can be compared bit by bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pytest
from tilecast.costmodel.hardware import Machine
from tilecast.dialects.poly import PackAttr, ScopOp
from tilecast.dialects.reference.linalg import evaluate_kernel
from tilecast.dialects.reference.loop_arithmetic import dtype_of
from tilecast.dialects.reference.loops import run_kernel
from tilecast.dialects.reference.poly import run_scop
from tilecast.passes.context import CompileContext
from tilecast.passes.graph.convert_graph_to_linalg import ConvertGraphToLinalgPass
from tilecast.passes.loops.pack_weights import pack_array
from tilecast.passes.poly.emission.lower_scop import lower_scop
from tilecast.passes.poly.extraction.extract_scop import extract_scop
from xdsl.dialects import arith, scf
from xdsl.dialects.builtin import IndexType, ModuleOp, StringAttr, TensorType
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.parser import Parser

MACHINES = {
    "scalar": Machine("scalar", "scalar"),
    "avx2": Machine("x86-64-v3", "avx2", vector_bytes=32),
    "avx512": Machine("x86-64-v4", "avx512", vector_bytes=64, vector_registers=32),
}


def parse(text: str) -> ModuleOp:
    """A verified module."""
    module = Parser(CompileContext(), text).parse_module()
    module.verify()
    return module


def poisoned(type: object) -> np.ndarray:
    """An array for a memref type, filled with what no test computes."""
    array = np.empty(type.get_shape(), dtype_of(type))  # type: ignore[attr-defined]
    array.fill(np.nan if array.dtype.kind == "f" else array.dtype.kind == "b" or 99)
    return array


def run_loops(func: FuncOp, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Outputs of a lowered kernel; weights are packed as it asks, all else starts poisoned."""
    func.verify()
    remaining = iter(inputs)
    arrays, outputs = [], []
    packs = func.arg_attrs.data if func.arg_attrs is not None else [None] * len(func.args)
    for arg, role, attrs in zip(func.args, func.attributes["tilecast.roles"], packs, strict=True):
        if role.data in ("in", "weight"):
            array = np.ascontiguousarray(next(remaining))
            pack = attrs.data.get("tilecast.pack") if attrs is not None else None
            if isinstance(pack, PackAttr):
                array = pack_array(array, pack, arg.type.get_shape())
        else:
            array = poisoned(arg.type)
        if role.data == "out":
            outputs.append(array)
        arrays.append(array)
    run_kernel(func, arrays)
    return outputs


def run_original(
    scop: ScopOp, inputs: Sequence[np.ndarray], order: object = None, float_type: object = None
) -> list[np.ndarray]:
    """Outputs of a scop, executed instance by instance."""
    remaining = iter(inputs)
    arrays, outputs = [], []
    packs = scop.packs.data if scop.packs is not None else [None] * len(scop.roles)
    for arg, role, pack in zip(scop.body.block.args, scop.roles, packs, strict=True):
        if role.data in ("in", "weight"):
            array = np.ascontiguousarray(next(remaining))
            if isinstance(pack, PackAttr):
                array = pack_array(array, pack, arg.type.get_shape())
        else:
            array = poisoned(arg.type)
        if float_type is not None and array.dtype.kind == "f":
            array = array.astype(float_type)
        if role.data == "out":
            outputs.append(array)
        arrays.append(array)
    run_scop(scop, arrays, order, float_type)
    return outputs


@dataclass
class Kernel:
    """One kernel: its text on graph or linalg level, and deterministic inputs.

    Integer inputs are in 0..top - 1, so that they can be indices.
    """

    text: str
    top: int = 3
    exact: bool = True
    linalg: FuncOp = field(init=False)
    inputs: list[np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        module = parse(self.text)
        ConvertGraphToLinalgPass().apply(CompileContext(), module)
        module.verify()
        (self.linalg,) = module.ops
        rng = np.random.default_rng(len(self.text))
        self.inputs = [self._input(rng, arg.type) for arg in self.linalg.args]

    def _input(self, rng: np.random.Generator, type: TensorType) -> np.ndarray:
        dtype, shape = dtype_of(type), type.get_shape()
        if dtype.kind == "b":
            return rng.random(shape) < 0.6
        if dtype.kind == "i":
            return rng.integers(0, self.top, shape, dtype)
        if self.exact:
            return rng.integers(-3, 4, shape).astype(dtype)
        return rng.normal(size=shape).astype(dtype)

    def scop(self) -> ScopOp:
        """A fresh scop of the kernel."""
        scop = extract_scop(self.linalg)
        scop.verify()
        return scop

    def expected(self, dtype: type = np.float64) -> list[np.ndarray]:
        """What the linalg level computes."""
        return evaluate_kernel(self.linalg, self.inputs, dtype)

    def check(self, outputs: Sequence[np.ndarray]) -> None:
        """Outputs are the expected ones: equal where sums are exact, else close."""
        results = self.linalg.body.block.last_op
        assert isinstance(results, ReturnOp)
        for got, want in zip(outputs, self.expected(), strict=True):
            got = got.reshape(want.shape)
            if self.exact or got.dtype.kind != "f":
                np.testing.assert_array_equal(got, want.astype(got.dtype))
            else:
                np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-6)

    def check_scop(self, scop: ScopOp) -> None:
        """The (rewritten) scop computes what the kernel means."""
        scop.verify()
        self.check(run_original(scop, self.inputs))

    def check_loops(self, func: FuncOp) -> None:
        """The loops compute what the kernel means."""
        self.check(run_loops(func, self.inputs))

    def check_lowered(self, scop: ScopOp, schedule: Sequence[object] | None = None) -> FuncOp:
        """The loops of `scop`, under `schedule` if given, compute what the kernel means.

        Parallel loops run backwards, because their order must not matter.
        """
        if schedule is not None:
            scop.properties["schedule"] = StringAttr("\n".join(str(s) for s in schedule))
        func = lower_scop(scop)
        self.check(run_loops(reverse_parallel_loops(func.clone()), self.inputs))
        return func


class ScopText:
    """Writes a scop; arrays are `role shape`, role one of in, weight, out, local.

    Accesses are like `x[i0 + 1, i1 * 2]`; a body names what to do with the values read.
    """

    BODIES: ClassVar[dict[str, str]] = {
        "copy": "",
        "add": "%r = arith.addf %a0, %a1 : f32",
        "double": "%r = arith.addf %a0, %a0 : f32",
        "multiply_add": "%m = arith.mulf %a1, %a2 : f32\n%r = arith.addf %a0, %m : f32",
        "max": "%r = arith.maximumf %a0, %a1 : f32",
        "zero": "%r = arith.constant 0.0 : f32",
        "two": "%r = arith.constant 2.0 : f32",
        "lowest": "%r = arith.constant 0xFF800000 : f32",
    }

    def __init__(self, **arrays: str) -> None:
        self.arrays = {name: text.split() for name, text in arrays.items()}
        self.lines: list[str] = []

    def statement(
        self, domain: str, write: str, reads: str, body: str = "copy", reduction: str = ""
    ) -> None:
        """Append one; `domain` is `5 x 7` or an isl set, `reads` accesses separated by `;`."""
        name = f"S{len(self.lines)}"
        if "{" not in domain:
            extents = [n.strip() for n in domain.split("x") if n.strip()]
            bounds = " and ".join(f"0 <= i{d} < {n}" for d, n in enumerate(extents)) or "true"
            dims = ", ".join(f"i{d}" for d in range(len(extents)))
            domain = f"{{ [{dims}] : {bounds} }}"
        dims = domain[domain.index("[") + 1 : domain.index("]")]
        accesses = [write, *(r for r in reads.split(";") if r.strip())]
        arrays = [a[: a.index("[")].strip() for a in accesses]
        maps = [
            f"affine_map<({dims}) -> ({a[a.index('[') + 1 : -1]})>"
            for a in map(str.strip, accesses)
        ]
        types = [f"memref<{self.arrays[a][1]}>" for a in arrays]
        elements = [self.arrays[a][1].split("x")[-1] for a in arrays]
        arguments = ", ".join(f"%a{k}: {element}" for k, element in enumerate(elements[1:]))
        label = f"^bb0({arguments}):" if arguments else ""
        kind = f', reduction = "{reduction}"' if reduction else ""
        result = "%r" if self.BODIES[body] else "%a0"
        self.lines.append(
            f'"poly.statement"({", ".join("%" + a for a in arrays)}) <{{sym_name = "{name}", '
            f'domain = "{domain}", write = {maps[0]}, '
            f"reads = [{', '.join(maps[1:])}]{kind}}}> ({{\n{label}\n"
            f'{self.BODIES[body]}\n"poly.yield"({result}) : ({elements[0]}) -> ()\n'
            f"}}) : ({', '.join(types)}) -> ()"
        )

    def scop(self) -> ScopOp:
        """A fresh, verified scop."""
        arguments = {n: a for n, a in self.arrays.items() if a[0] != "local"}
        roles = ", ".join(f'"{a[0]}"' for a in arguments.values())
        packs = ", ".join("unit" for _ in arguments)
        block = ", ".join(f"%{n}: memref<{a[1]}>" for n, a in arguments.items())
        local = "\n".join(
            f'%{n} = "poly.array"() : () -> memref<{a[1]}>'
            for n, a in self.arrays.items()
            if a[0] == "local"
        )
        text = (
            f'"poly.scop"() <{{sym_name = "k", roles = [{roles}], packs = [{packs}]}}> ({{\n'
            f"^bb0({block}):\n{local}\n" + "\n".join(self.lines) + "\n}) : () -> ()"
        )
        (scop,) = parse(text).ops
        assert isinstance(scop, ScopOp)
        return scop


def scop_inputs(scop: ScopOp) -> list[np.ndarray]:
    """Small integers for every input of a scop."""
    rng = np.random.default_rng(len(scop.roles))
    return [
        rng.integers(-3, 4, arg.type.get_shape()).astype(dtype_of(arg.type))
        for arg, role in zip(scop.body.block.args, scop.roles, strict=True)
        if role.data in ("in", "weight")
    ]


def check_schedule(scop: ScopOp, *steps: object) -> FuncOp:
    """The loops of `scop` under `steps` compute what its original order does, bit by bit.

    Parallel loops are run backwards too.
    """
    inputs = scop_inputs(scop)
    scop.properties["schedule"] = StringAttr("\n".join(str(s) for s in steps))
    func = lower_scop(scop)
    want = run_original(scop, inputs)
    for lowered in (func, reverse_parallel_loops(func.clone())):
        for got, expected in zip(run_loops(lowered, inputs), want, strict=True):
            np.testing.assert_array_equal(got, expected)
    return func


def reverse_parallel_loops(func: FuncOp) -> FuncOp:
    """The same kernel with the iterations of every parallel loop in opposite order."""
    for op in list(func.walk()):
        if not isinstance(op, scf.ParallelOp):
            continue
        low, high, step = (v[0] for v in (op.lowerBound, op.upperBound, op.step))
        one = arith.ConstantOp.from_int_and_width(1, IndexType())
        span = arith.SubiOp(high, low)
        count = arith.CeilDivSIOp(span.result, step)
        last = arith.SubiOp(count.result, one.result)
        reach = arith.MuliOp(last.result, step)
        ends = arith.AddiOp(low, reach.result)
        total = arith.AddiOp(ends.result, low)
        op.parent_block().insert_ops_before([one, span, count, last, reach, ends, total], op)
        (variable,) = op.body.block.args
        uses = list(variable.uses)
        mirrored = arith.SubiOp(total.result, variable)
        op.body.block.insert_op_before(mirrored, op.body.block.first_op)
        for use in uses:
            use.operation.operands[use.index] = mirrored.result
    return func


@pytest.fixture(scope="session")
def scop_text() -> type[ScopText]:
    """The writer of scops."""
    return ScopText


@pytest.fixture(scope="session")
def run_plain() -> Callable[..., list[np.ndarray]]:
    """run_plain(scop, inputs=None): outputs in original order, on small integers by default."""

    def run(scop: ScopOp, inputs: Sequence[np.ndarray] | None = None) -> list[np.ndarray]:
        return run_original(scop, scop_inputs(scop) if inputs is None else inputs)

    return run


@pytest.fixture(scope="session")
def check() -> Callable[..., FuncOp]:
    """check(scop, *steps): see check_schedule."""
    return check_schedule


@pytest.fixture(scope="session")
def kernel() -> Callable[..., Kernel]:
    """kernel(text, top=3, exact=True): a Kernel."""
    return Kernel


@pytest.fixture(scope="session")
def machines() -> dict[str, Machine]:
    """The machines that schedules are made for."""
    return MACHINES
