"""What torch does again for each decomposition of an exported program, done once for all of them.

`ExportedProgram.run_decompositions` collects all composite operators and gives each of them twenty
kernels, which it takes away afterwards: 45 ms, for programs that are lowered in 200 ms. Operators
registered inside of the block are not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any
from unittest.mock import patch

import torch._export.utils
import torch.export._trace
import torch.export.exported_program
from torch._subclasses.fake_impls import op_implementations_dict

Table = dict[Any, Callable[..., Any]]
OVERRIDE = "_override_composite_implicit_decomp"
COLLECT = "_collect_all_valid_cia_ops"


class RememberedKernels:
    """The context manager that overrides composite operators; tables that were seen before are
    entered by exchanging the operators' kernels and their rules for fake tensors."""

    def __init__(self, override: Callable[[Table], Any]) -> None:
        self.override = override
        self.known: list[tuple[Table, dict[Any, Any]]] = []

    @contextmanager
    def __call__(self, table: Table) -> Iterator[None]:
        """Override the operators of `table` in the block."""
        inside = next((kernels for seen, kernels in self.known if seen == table), None)
        if inside is None:
            with self.override(table):
                self.known.append((dict(table), kernels_of(table)))
                yield
            return
        before = {op: (kernels, None) for op, (kernels, _) in kernels_of(table).items()}
        try:
            exchange(inside)
            yield
        finally:
            exchange(before)  # without rules for fake tensors, as torch does it


def kernels_of(operators: Iterable[Any]) -> dict[Any, Any]:
    """Kernels and the rule for fake tensors of each operator."""
    rules = op_implementations_dict
    return {op: (dict(op.py_kernels), rules.get(op)) for op in operators}


def exchange(kernels: dict[Any, Any]) -> None:
    """Give operators these kernels and rules, and no others."""
    for op, (own, rule) in kernels.items():
        op.py_kernels.clear()
        op.py_kernels.update(own)
        op._dispatch_cache.clear()
        if rule is None:
            op_implementations_dict.pop(op, None)
        else:
            op_implementations_dict[op] = rule


@cache
def remembered() -> RememberedKernels:
    """The one of this process."""
    return RememberedKernels(getattr(torch.export.exported_program, OVERRIDE))


@contextmanager
def quick_decompositions() -> Iterator[None]:
    """Decompositions in this block share what does not depend on the program."""
    operators = frozenset(getattr(torch._export.utils, COLLECT)())
    with ExitStack() as stack:
        for module in (torch._export.utils, torch.export._trace, torch.export.exported_program):
            if hasattr(module, COLLECT):
                stack.enter_context(patch.object(module, COLLECT, lambda: set(operators)))
            if hasattr(module, OVERRIDE):
                stack.enter_context(patch.object(module, OVERRIDE, remembered()))
        yield
