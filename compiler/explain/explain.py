"""Reports out of the IR that compilation keeps: nothing is compiled again to explain it."""

from __future__ import annotations

from collections.abc import Mapping

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.parser import Parser

from ...dialects.errors import InvalidInputError
from ...dialects.poly import ScopOp
from ...passes.context import CompileContext
from ...passes.poly.extraction.extract_affine import extract_affine
from ..pipeline import ir_file_name
from .kernel_report import KernelReport, kernel_report


def explain_kernel(ir: Mapping[str, str], sources: Mapping[str, str]) -> KernelReport:
    """The report of a compiled affine kernel, from its IR at every stage and its C files."""
    original = extract_affine(only_function(parsed(ir[ir_file_name("import")])))
    scheduled = parsed(ir[ir_file_name("schedule")]).body.block.first_op
    assert isinstance(scheduled, ScopOp)
    func = only_function(parsed(ir[ir_file_name("loops")]))
    return kernel_report(original, scheduled, func, sources)


def explain_scheduled(module: ModuleOp, name: str) -> KernelReport:
    """The report of kernel `name` of a model, from the model's IR after the schedule stage."""
    scops = {op.sym_name.data: op for op in module.ops if isinstance(op, ScopOp)}
    if name not in scops:
        raise InvalidInputError(f"no kernel is called {name!r}; kernels are {', '.join(scops)}")
    return kernel_report(scops[name], scops[name], None, {})


def parsed(text: str) -> ModuleOp:
    """IR text as a module."""
    return Parser(CompileContext(), text).parse_module()


def only_function(module: ModuleOp) -> FuncOp:
    """The function that a kernel's module holds."""
    func = module.body.block.first_op
    assert isinstance(func, FuncOp)
    return func
