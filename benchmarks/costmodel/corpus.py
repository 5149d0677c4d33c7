"""The programs that samples are taken of (compiler/tune/sample_programs.py has their form).

Kernels of networks, PolyBench at several sizes, random affine programs. Each has the family that a
split keeps together; a kernel that several networks have belongs to the first of them.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from tilecast.compiler.target import native_machine
from tilecast.compiler.tune.sample_programs import Program, write_kernels, write_program
from tilecast.dialects.poly import ScopOp
from tilecast.passes.context import CompileContext
from tilecast.passes.registry import load_pass
from xdsl.dialects.builtin import ModuleOp
from xdsl.parser import Parser

from ..polybench.benchmark import load_all
from .random_programs import random_program
from .zoo import Network, functions, networks

LONGEST_SECONDS = 20
RANDOM_FAMILIES = 40  # random programs with numbers that agree modulo this are one family


def is_first_time(work: Path, label: str) -> bool:
    """Whether nobody has asked for `label` before."""
    done = work / "done" / label
    done.parent.mkdir(parents=True, exist_ok=True)
    try:
        done.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def write_networks(work: Path) -> Iterator[str]:
    """The kernels of all networks, each on one thread or two in turns."""
    for number, network in enumerate([*networks(), *functions()]):
        if not is_first_time(work, network.label):
            continue
        try:
            yield f"{network.label}: {write_network(work, network, 1 + number % 2)} kernels"
        except Exception as error:  # what cannot be compiled is no program
            yield f"{network.label}: {type(error).__name__}: {str(error)[:200]}"


def write_network(work: Path, network: Network, threads: int) -> int:
    """The kernels of one network; how many are new."""
    module, inputs = network.make()
    return write_kernels(work, network.label, network.family, module, inputs, threads)


def write_affine(work: Path, name: str, family: str, threads: int, module: ModuleOp) -> None:
    """One program of affine loops."""
    load_pass("extract-affine")().apply(CompileContext(machine=native_machine()), module)
    [scop] = [op for op in module.ops if isinstance(op, ScopOp)]
    write_program(work, Program(name, family, threads, "affine"), scop)


def write_polybench(work: Path) -> None:
    """The kernels of PolyBench at its sizes SMALL and MEDIUM and odd ones between, on one thread or
    two."""
    for name, benchmark in load_all().items():
        small, medium = benchmark.dataset("SMALL"), benchmark.dataset("MEDIUM")
        between = {n: round((small[n] * medium[n]) ** 0.5) | 1 for n in small}
        for number, (label, sizes) in enumerate(
            [("small", small), ("between", between), ("medium", medium)]
        ):
            if is_first_time(work, f"{name}-{label}"):
                module = benchmark.kernel.bind(**sizes).module()
                write_affine(work, f"{name}-{label}", name, 2 - number % 2, module)


def write_random(work: Path, count: int) -> None:
    """Random programs; those whose dependences take too long are left out."""
    for seed in range(count):
        if not is_first_time(work, f"random-{seed}"):
            continue
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            continue
        signal.alarm(LONGEST_SECONDS)  # isl does not come back to Python
        module = Parser(CompileContext(), random_program(seed)).parse_module()
        assert isinstance(module, ModuleOp)
        try:
            module.verify()
            family = f"random{seed % RANDOM_FAMILIES}"
            write_affine(work, f"random-{seed}", family, 1 + seed % 2, module)
        except Exception as error:  # an access outside of an array, say
            print(f"random-{seed}: {error}", file=sys.stderr, flush=True)
        os._exit(0)
