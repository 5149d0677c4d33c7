"""Make structurally equal kernels one function.

before: graph.launch @linear_0(%a, %w0) ; graph.launch @linear_1(%b, %w1)    (equal bodies)
after:  graph.launch @linear_0(%a, %w0) ; graph.launch @linear_0(%b, %w1)
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from io import StringIO

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr, SymbolRefAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass
from xdsl.printer import Printer

from ...dialects.graph import LaunchOp

# What two kernels may differ in and still be the same computation.
IGNORED_ATTRIBUTES = ("loc",)


def kernel_digest(func: FuncOp) -> str:
    """A hash of the kernel's text without its name, value names and source locations."""
    copy = func.clone()
    copy.sym_name = StringAttr("kernel")
    for op in copy.walk():
        for name in IGNORED_ATTRIBUTES:
            op.attributes.pop(name, None)
        for result in op.results:
            _forget_name(result)
        for region in op.regions:
            for block in region.blocks:
                for argument in block.args:
                    _forget_name(argument)
    text = StringIO()
    Printer(stream=text, print_generic_format=True).print_op(copy)
    return hashlib.blake2b(text.getvalue().encode(), digest_size=16).hexdigest()


def _forget_name(value: SSAValue) -> None:
    value.name_hint = None


@dataclass(frozen=True)
class DeduplicateKernelsPass(ModulePass):
    """Keep the first of equal private functions and launch it everywhere."""

    name = "deduplicate-kernels"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        first: dict[str, str] = {}
        replacement: dict[str, str] = {}
        for func in list(op.ops):
            if not isinstance(func, FuncOp) or not _is_private(func) or func.is_declaration:
                continue
            name = func.sym_name.data
            kept = first.setdefault(kernel_digest(func), name)
            if kept != name:
                replacement[name] = kept
                op.body.block.erase_op(func)
        for launch in op.walk():
            if isinstance(launch, LaunchOp):
                name = launch.kernel.root_reference.data
                launch.kernel = SymbolRefAttr(replacement.get(name, name))


def _is_private(func: FuncOp) -> bool:
    return func.sym_visibility is not None and func.sym_visibility.data == "private"
