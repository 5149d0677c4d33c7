"""The statements of one function of the program level: pointers, calls of kernels, control flow.

in:  memref.view, memref.get_global, memref.reinterpret_cast, memref.cast, memref.copy, func.call,
     and in functions with control flow scf.if, scf.while and scf.for that carry memrefs
out: lines of C; carried memrefs are pointers that change their values
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod

from xdsl.dialects import arith, func, memref, scf
from xdsl.dialects.builtin import MemRefType, StringAttr, SymbolRefAttr
from xdsl.ir import Block, Operation, SSAValue

from ...dialects.constants import splat_value
from ...dialects.errors import LoweringError
from ...dialects.pairs import WordsOp
from ...dialects.sizes import Size
from .c_types import BYTES, element_name, storage_type
from .scope import Scope

INDENT = "    "


def symbol_of(reference: SymbolRefAttr) -> str:
    """The name behind a reference."""
    return reference.root_reference.data


class ProgramBody:
    """Lines and pointer names of one function.

    `weights` has the number of each stored array, `arenas` which argument of a program is its
    arena; `call` writes the call of a function by name; `symbols` are the sizes that a caller
    chooses, in the order of the array `sizes`. Weights are copied by the function `fetch`, where
    there is one: their pointers lead to no numbers then.
    """

    def __init__(
        self,
        weights: Mapping[str, int],
        arenas: Mapping[str, int],
        call: Callable[[str, Sequence[str]], str],
        symbols: Sequence[str] = (),
        fetch: str | None = None,
    ) -> None:
        self.weights, self.arenas, self.call, self.symbols = weights, arenas, call, symbols
        self.fetch = fetch
        self.scope = Scope()
        self.lines: list[str] = []
        self.depth = 1
        self.names: dict[SSAValue, str] = {}
        self.is_const: dict[SSAValue, bool] = {}
        self.is_carried: set[SSAValue] = set()
        self.uses_memcpy = False

    def line(self, text: str) -> None:
        """Add a line at the current depth."""
        self.lines.append(INDENT * self.depth + text)

    def declare(self, value: SSAValue, source: str, *, const: bool, cast: bool = True) -> None:
        """A pointer variable for `value`."""
        pointer = pointer_type(value, const)
        self.name(value, const)
        conversion = f"({pointer})" if cast else ""
        self.line(f"{pointer}{self.names[value]} = {conversion}{source};")

    def name(self, value: SSAValue, const: bool) -> None:
        """A variable name for `value`."""
        self.names[value] = self.scope.claim(value.name_hint or "t")
        self.is_const[value] = const

    def block(self, block: Block) -> None:
        """All ops of a block, but for its terminator."""
        for op in block.ops:
            self.op(op)

    def op(self, op: Operation) -> None:
        """One op."""
        if isinstance(op, func.ReturnOp | arith.ConstantOp | scf.YieldOp | scf.ConditionOp):
            return
        if op.results and not op.regions and not any(r.uses for r in op.results):
            return
        match op:
            case memref.ViewOp():
                shift = splat_value(op.byte_shift)
                if shift is None:
                    raise LoweringError("memref.view: expected a constant offset into the arena")
                if self.is_arena(op.result):
                    self.alias(op.result, op.source, int(shift))
                else:
                    self.declare(op.result, f"({self.names[op.source]} + {shift})", const=False)
            case memref.GetGlobalOp():
                index = self.weights[symbol_of(op.name_)]
                self.declare(op.memref, f"weights[{index}]", const=True, cast=False)
            case memref.ReinterpretCastOp():
                self.reinterpret(op)
            case memref.CastOp():
                self.alias(op.dest, op.source, 0)
            case memref.CopyOp():
                self.copy(op)
            case WordsOp():
                const = self.is_const[op.source]
                self.declare(op.result, f"({self.names[op.source]})", const=const)
            case memref.LoadOp():
                place = "".join(f"[{self.number(index)}]" for index in op.indices)
                array = self.names[op.memref]
                self.names[op.res] = f"{array}{place}" if place else f"*{array}"
            case arith.IndexCastOp():
                self.names[op.result] = self.scope.claim(op.result.name_hint or "size")
                self.line(f"const int64_t {self.names[op.result]} = {self.names[op.input]};")
            case arith.MuliOp():
                self.names[op.result] = " * ".join(self.number(v) for v in op.operands)
            case arith.AddiOp() | arith.DivUIOp():
                sign = "+" if isinstance(op, arith.AddiOp) else "/"
                left, right = (self.number(v) for v in op.operands)
                self.names[op.result] = f"({left} {sign} {right})"
            case func.CallOp():
                arguments = [self.names[value] for value in op.arguments]
                self.line(self.call(symbol_of(op.callee), arguments))
            case scf.IfOp():
                self.branch(op)
            case scf.WhileOp():
                self.loop_while(op)
            case scf.ForOp():
                self.loop_for(op)
            case _:
                raise LoweringError(f"no C emission rule for {op.name} at the program level")

    def is_arena(self, value: SSAValue) -> bool:
        """Whether `value` is nothing but the arena of programs that are called."""
        return all(
            isinstance(use.operation, func.CallOp)
            and self.arenas.get(symbol_of(use.operation.callee)) == use.index
            for use in value.uses
        )

    def number(self, value: SSAValue) -> str:
        """An index as C."""
        constant = splat_value(value)
        return self.names[value] if constant is None else str(constant)

    def reinterpret(self, op: memref.ReinterpretCastOp) -> None:
        """The same memory under another shape, or a piece of it."""
        (offset,) = op.static_offsets.get_values()
        if op.offsets:
            source = f"{self.names[op.source]} + {self.number(op.offsets[0])}"
            self.declare(op.result, source, const=self.is_const[op.source], cast=False)
        elif offset < 0:
            raise LoweringError("memref.reinterpret_cast: expected an offset")
        else:
            self.alias(op.result, op.source, int(offset))

    def alias(self, result: SSAValue, source: SSAValue, offset: int) -> None:
        """Another name for the memory of `source`."""
        self.names[result] = self.names[source] + (f" + {offset}" if offset else "")
        self.is_const[result] = self.is_const[source]

    def copy(self, op: memref.CopyOp) -> None:
        """All elements; nothing where a carried pointer is the target already."""
        type = op.source.type
        assert isinstance(type, MemRefType)
        each = BYTES[element_name(type.get_element_type())]
        elements = op.attributes.get("tilecast.elements")
        if isinstance(elements, StringAttr):
            size = f"(size_t)({self.size_text(elements.data)}) * {each}"
        else:
            size = str(prod(type.get_shape()) * each)
        target, source = self.names[op.destination], self.names[op.source]
        if self.fetch is not None and is_stored(op.source):
            self.line(f"{self.fetch}({target}, {source}, {size});")
            return
        self.uses_memcpy = True
        test = f"if ({target} != {source}) " if op.source in self.is_carried else ""
        self.line(f"{test}memcpy({target}, {source}, {size});")

    def size_text(self, text: str) -> str:
        """A C expression for a `Size`, of the numbers that the call gives."""
        size: object = Size.parse(text)
        assert isinstance(size, Size)
        return size.c_text({name: f"sizes[{k}]" for k, name in enumerate(self.symbols)})

    def branch(self, op: scf.IfOp) -> None:
        """if (condition) { ... } else { ... }"""
        self.line(f"if ({self.names[op.cond]}) {{")
        self.nested(op.true_region.block)
        self.line("} else {")
        self.nested(op.false_region.block)
        self.line("}")

    def nested(self, block: Block) -> None:
        """The ops of a block, one level deeper."""
        self.depth += 1
        self.block(block)
        self.depth -= 1

    def carry(self, start: Sequence[SSAValue], carried: Sequence[SSAValue]) -> None:
        """Variables for what a loop carries, with their first values."""
        for value, variable in zip(start, carried, strict=True):
            self.declare(variable, self.names[value], const=self.is_const[value], cast=False)
            self.is_carried.add(variable)

    def rename(self, values: Sequence[SSAValue], carried: Sequence[SSAValue]) -> None:
        """`values` are other names for what a loop carries."""
        for value, variable in zip(values, carried, strict=True):
            self.alias(value, variable, 0)
            self.is_carried.add(value)

    def hand_on(self, carried: Sequence[SSAValue], block: Block) -> None:
        """Give what a loop carries the values that the body yields, all at once."""
        end = block.last_op
        assert isinstance(end, scf.YieldOp)
        changed = [
            (self.names[variable], self.names[value], variable)
            for variable, value in zip(carried, end.arguments, strict=True)
            if self.names[variable] != self.names[value]
        ]
        kept = {}
        for name, _, variable in changed:
            kept[name] = self.scope.claim("before")
            self.line(f"{pointer_type(variable, self.is_const[variable])}{kept[name]} = {name};")
        for name, value, _ in changed:
            self.line(f"{name} = {kept.get(value, value)};")

    def loop_while(self, op: scf.WhileOp) -> None:
        """for (;;) { condition; if (!it) break; body; }"""
        before, after = op.before_region.block, op.after_region.block
        self.carry(op.arguments, before.args)
        end = before.last_op
        assert isinstance(end, scf.ConditionOp)
        self.line("for (;;) {")
        self.nested(before)
        self.depth += 1
        self.line(f"if (!{self.names[end.condition]})")
        self.line(f"{INDENT}break;")
        self.depth -= 1
        self.rename(after.args, before.args)
        self.nested(after)
        self.depth += 1
        self.hand_on(before.args, after)
        self.depth -= 1
        self.line("}")
        self.rename(op.results, before.args)

    def loop_for(self, op: scf.ForOp) -> None:
        """for (i = 0; i < n; ++i) { body; }"""
        block = op.body.block
        counter, *carried = block.args
        self.carry(op.iter_args, carried)
        i = self.names[counter] = self.scope.claim("i")
        first, last, step = (self.number(v) for v in (op.lb, op.ub, op.step))
        self.line(f"for (int64_t {i} = {first}; {i} < {last}; {i} += {step}) {{")
        self.nested(block)
        self.depth += 1
        self.hand_on(carried, block)
        self.depth -= 1
        self.line("}")
        self.rename(op.results, carried)


def is_stored(value: SSAValue) -> bool:
    """Whether `value` is a weight, perhaps under another shape."""
    while isinstance(value.owner, memref.ReinterpretCastOp | memref.CastOp | WordsOp):
        value = value.owner.source
    return isinstance(value.owner, memref.GetGlobalOp)


def pointer_type(value: SSAValue, const: bool) -> str:
    """The C type of a pointer to the elements of `value`, ready for a name behind it."""
    assert isinstance(value.type, MemRefType)
    return ("const " if const else "") + storage_type(value.type.get_element_type()) + " *"
