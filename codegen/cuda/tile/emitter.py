"""State of the emission of one program: lines, names, and the registers of tiles.

Rules (`memory_rules`, `compute_rules`, `control_rules`) are registered by op class.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from math import gcd
from typing import Any

from xdsl.dialects import arith, scf
from xdsl.dialects.builtin import Float32Type, IntegerAttr, IntegerType
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, BlockArgument, Operation, SSAValue

from ....dialects.errors import LoweringError
from ....dialects.tile import ops
from ....dialects.tile.types import RegisterType, SharedType, bits_of
from ...c.function import FunctionEmitter
from ...c.prelude import Prelude
from ..text import as_cuda

Rule = Callable[["Emitter", Any], None]
RULES: dict[type[Operation], Rule] = {}


def emits(*op_types: type[Operation]) -> Callable[[Rule], Rule]:
    """Register the rule that emits ops of these classes."""

    def register(rule: Rule) -> Rule:
        for op_type in op_types:
            if op_type in RULES:
                raise LoweringError(f"two rules emit {op_type.name}")
            RULES[op_type] = rule
        return rule

    return register


def word_type(element: Attribute) -> str:
    """The C type of the 32-bit registers that hold elements."""
    if isinstance(element, Float32Type):
        return "float"
    if isinstance(element, IntegerType) and element.width.data == 32:
        return "int32_t"
    return "uint32_t"


def words_of(type: RegisterType) -> int:
    """Registers per thread."""
    return -(-type.layout.locals * bits_of(type.element) // 32)


@dataclass
class Emitter:
    """Text so far; `shared_bytes` grows with every shared array, `tables` go before.

    `tables` are constant arrays and scalar functions, whose helpers are in `prelude`.
    """

    program: str
    threads: int
    prelude: Prelude
    lines: list[str] = field(default_factory=list)
    names: dict[SSAValue, str] = field(default_factory=dict)
    tables: list[str] = field(default_factory=list)
    shared_bytes: int = 0
    depth: int = 1
    _used: set[str] = field(default_factory=lambda: {"t", "i", "s", "c", "shared"})

    def line(self, text: str) -> None:
        """Append a line at the current depth."""
        self.lines.append("    " * self.depth + text if text else "")

    def open(self, text: str) -> None:
        """A line that opens a block."""
        self.line(text + " {")
        self.depth += 1

    def close(self) -> None:
        """Close the block."""
        self.depth -= 1
        self.line("}")

    def repeat(self, count: int, step: int = 1, name: str = "i") -> None:
        """Open a loop that is unrolled."""
        self.line("#pragma unroll")
        advance = f"++{name}" if step == 1 else f"{name} += {step}"
        self.open(f"for (int {name} = 0; {name} < {count}; {advance})")

    def fresh(self, hint: str | None) -> str:
        """A name that is not in use."""
        base = re.sub(r"\W", "_", hint or "v")
        base = re.sub(r"_\d+$", "", base) or "v"
        name, k = base, 1
        while name in self._used:
            k += 1
            name = f"{base}{k}"
        self._used.add(name)
        return name

    def name(self, value: SSAValue) -> str:
        """What `value` is called."""
        return self.names[value]

    def bind(self, value: SSAValue, name: str) -> None:
        """`value` is called `name` from here on."""
        self.names[value] = name

    def declare(self, value: SSAValue) -> str:
        """Registers for a tile."""
        type = ops.register_of(value)
        name = self.fresh(value.name_hint)
        self.line(f"{word_type(type.element)} {name}[{words_of(type)}];")
        self.bind(value, name)
        return name

    def scalar_function(self, op: ops.MapOp) -> str:
        """The name of a device function that computes the body of `op`."""
        name = self.fresh(f"{self.program}_{op.result.name_hint or 'map'}")
        block = op.body.block
        result = ops.register_of(op.result).element
        func = FuncOp(name, ([a.type for a in block.args], [result]))
        mapping: dict[SSAValue, SSAValue] = {}
        for argument, new in zip(block.args, func.body.block.args, strict=True):
            new.name_hint = argument.name_hint
            mapping[argument] = new
        for inner in block.ops:
            if isinstance(inner, ops.YieldOp):
                func.body.block.add_op(ReturnOp(mapping[inner.value]))
            else:
                func.body.block.add_op(inner.clone(mapping))
        self.tables.append(as_cuda(FunctionEmitter(func, self.prelude).emit("static inline ")))
        return name

    def emit_block(self, block: Block) -> None:
        """All ops, without the terminator."""
        for op in block.ops:
            if isinstance(op, scf.YieldOp):
                return
            rule = RULES.get(type(op))
            if rule is None:
                raise LoweringError(f"no CUDA rule for {op.name}")
            rule(self, op)


def can_take_over(value: SSAValue, user: Operation) -> bool:
    """Whether `user` may write its result into the registers of its operand `value`."""
    uses = [use.operation for use in value.uses]
    if len(uses) != 1 or value.owner is None:
        return False
    home = value.owner if isinstance(value, BlockArgument) else value.owner.parent
    return home is user.parent


def alignment_of(value: SSAValue) -> int:
    """A number that divides `value` always; 0 for zero."""
    if isinstance(value, BlockArgument):
        parent = value.owner.parent_op()
        if isinstance(parent, scf.ForOp) and value.index == 0:
            return gcd(alignment_of(parent.lb), alignment_of(parent.step))
        return 1
    op = value.owner
    if isinstance(op, arith.ConstantOp):
        assert isinstance(op.value, IntegerAttr)
        return abs(op.value.value.data)
    if isinstance(op, arith.MuliOp):
        return alignment_of(op.lhs) * alignment_of(op.rhs)
    if isinstance(op, arith.AddiOp | arith.SubiOp | arith.MinSIOp):
        return gcd(alignment_of(op.lhs), alignment_of(op.rhs))
    return 1


def shared_type(value: SSAValue) -> SharedType:
    """The type of a shared array."""
    assert isinstance(value.type, SharedType)
    return value.type
