"""The program level as one C function that calls kernels over the arena.

in:  func.func @main(inputs..., outputs..., %arena : memref<Nxi8>) of memref.view,
     memref.get_global, memref.reinterpret_cast, memref.cast, memref.copy and func.call; where
     sizes are known at run time only, products of the numbers in a last input `%sizes`
out: void NAME_program(const void *const *inputs, void *const *outputs,
                       const void *const *weights, unsigned char *arena)
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from xdsl.dialects import arith, func, memref
from xdsl.dialects.builtin import ArrayAttr, MemRefType, StringAttr, SymbolRefAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue

from ...dialects.errors import LoweringError
from ...dialects.pairs import WordsOp
from ...dialects.sizes import Size, Symbol
from .c_types import BYTES, element_name, storage_type
from .constants import splat_value
from .function import argument_roles
from .scope import Scope
from .unit import emit_prototypes

TIMER = """#include <time.h>

double {name}_seconds[{calls}];

static double now(void)
{{
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}}
"""


def program_weight_symbols(main: FuncOp) -> list[str]:
    """The symbols behind `weights[0]`, `weights[1]`, ...: in order of first use in `main`."""
    symbols: dict[str, None] = {}
    for op in main.walk():
        if isinstance(op, memref.GetGlobalOp):
            symbols[_symbol(op.name_)] = None
    return list(symbols)


def emit_program(
    main: FuncOp, kernels: Sequence[FuncOp], name: str, prefix: str = "", *, timed: bool = False
) -> str:
    """A C file with the prototypes of `kernels` and the function `NAME_program`.

    `prefix` is that of the kernels' files. A `timed` program adds the seconds of each call to
    `NAME_seconds`, an array with one element per call.
    """
    return _ProgramEmitter(main, kernels, prefix, timed).emit(name)


def argument_kinds(main: FuncOp, kernels: Sequence[FuncOp]) -> list[str]:
    """ "in", "out" or "arena" for each argument of `main`.

    Read from `tilecast.roles` where `main` has it; else outputs are the arguments that some kernel
    or copy writes, and a last memref of i8 that is viewed is the arena.
    """
    roles = argument_roles(main)
    if roles:
        return roles
    by_name = {kernel.sym_name.data: kernel for kernel in kernels}
    arguments: list[SSAValue] = list(main.body.block.args)
    kinds = ["in"] * len(arguments)
    if arguments and any(isinstance(u.operation, memref.ViewOp) for u in arguments[-1].uses):
        kinds[-1] = "arena"
    for op in main.walk():
        for value in _written(op, by_name):
            origin = _origin(value)
            if origin in arguments and kinds[arguments.index(origin)] == "in":
                kinds[arguments.index(origin)] = "out"
    return kinds


def _written(op: Operation, kernels: dict[str, FuncOp]) -> list[SSAValue]:
    if isinstance(op, memref.CopyOp):
        return [op.destination]
    if not isinstance(op, func.CallOp):
        return []
    callee = kernels.get(_symbol(op.callee))
    if callee is None:
        raise LoweringError(f"program calls @{_symbol(op.callee)}, which is no kernel here")
    pairs = zip(argument_roles(callee), op.arguments, strict=True)
    return [value for role, value in pairs if role == "out"]


def _symbol(reference: SymbolRefAttr) -> str:
    return reference.root_reference.data


def _origin(value: SSAValue) -> SSAValue:
    while isinstance(value.owner, memref.ReinterpretCastOp | memref.CastOp | WordsOp):
        value = value.owner.source
    return value


class _ProgramEmitter:
    """Lines and pointer names of the program function."""

    def __init__(
        self, main: FuncOp, kernels: Sequence[FuncOp], prefix: str, timed: bool = False
    ) -> None:
        self.main = main
        self.timed = timed
        self.calls = 0
        self.kernels = kernels
        self.prefix = prefix
        self.scope = Scope()
        self.lines: list[str] = []
        self.names: dict[SSAValue, str] = {}
        self.is_const: dict[SSAValue, bool] = {}
        self.weights = {s: k for k, s in enumerate(program_weight_symbols(main))}
        self.uses_memcpy = False

    def emit(self, name: str) -> str:
        """The whole file."""
        self.name = name
        for reserved in ("inputs", "outputs", "weights", "arena", "now", "start"):
            self.scope.claim(reserved)
        used: set[str] = set()
        self._arguments(used)
        for op in self.main.body.block.ops:
            self._op(op)
        used |= {"weights"} if self.weights else set()
        unused = [
            f"    (void){parameter};\n"
            for parameter in ("inputs", "outputs", "weights", "arena")
            if parameter not in used
        ]
        includes = "#include <stdint.h>\n" + ("#include <string.h>\n" if self.uses_memcpy else "")
        head = (
            f"void {name}_program(const void *const *inputs, void *const *outputs,\n"
            f"    const void *const *weights, unsigned char *arena)"
        )
        clock = TIMER.format(name=name, calls=max(1, self.calls)) if self.timed else ""
        body = "".join(unused) + "".join(f"    {line}\n" for line in self.lines)
        parts = [
            includes,
            clock,
            emit_prototypes(self.kernels, self.prefix),
            f"{head};\n",
            f"{head}\n{{\n{body}}}\n",
        ]
        return "\n".join(part for part in parts if part)

    def _arguments(self, used: set[str]) -> None:
        counts = {"in": 0, "out": 0}
        kinds = argument_kinds(self.main, self.kernels)
        for argument, kind in zip(self.main.body.block.args, kinds, strict=True):
            if kind == "arena":
                used.add("arena")
                self.names[argument], self.is_const[argument] = "arena", False
                continue
            array = "inputs" if kind == "in" else "outputs"
            source = f"{array}[{counts[kind]}]"
            counts[kind] += 1
            if argument.uses:
                used.add(array)
                self._declare(argument, source, const=kind == "in", cast=False)

    def _declare(self, value: SSAValue, source: str, *, const: bool, cast: bool = True) -> None:
        assert isinstance(value.type, MemRefType)
        pointer = ("const " if const else "") + storage_type(value.type.get_element_type()) + " *"
        name = self.scope.claim(value.name_hint or "t")
        self.names[value], self.is_const[value] = name, const
        conversion = f"({pointer})" if cast else ""
        self.lines.append(f"{pointer}{name} = {conversion}{source};")

    def _op(self, op: Operation) -> None:
        if isinstance(op, (func.ReturnOp, arith.ConstantOp)):
            return
        if op.results and not any(r.uses for r in op.results):
            return
        if isinstance(op, memref.LoadOp | arith.IndexCastOp | arith.MuliOp):
            self._size(op)
        elif isinstance(op, memref.ViewOp):
            shift = splat_value(op.byte_shift)
            if shift is None:
                raise LoweringError("memref.view: expected a constant offset into the arena")
            self._declare(op.result, f"({self.names[op.source]} + {shift})", const=False)
        elif isinstance(op, memref.GetGlobalOp):
            index = self.weights[_symbol(op.name_)]
            self._declare(op.memref, f"weights[{index}]", const=True, cast=False)
        elif isinstance(op, memref.ReinterpretCastOp):
            self._alias(op.result, op.source, _static_offset(op))
        elif isinstance(op, memref.CastOp):
            self._alias(op.dest, op.source, 0)
        elif isinstance(op, WordsOp):
            const = self.is_const[op.source]
            self._declare(op.result, f"({self.names[op.source]})", const=const)
        elif isinstance(op, memref.CopyOp):
            self._copy(op)
        elif isinstance(op, func.CallOp):
            arguments = ", ".join(self.names[value] for value in op.arguments)
            self._call(f"{self.prefix}{_symbol(op.callee)}({arguments});")
        else:
            raise LoweringError(f"no C emission rule for {op.name} at the program level")

    def _size(self, op: memref.LoadOp | arith.IndexCastOp | arith.MuliOp) -> None:
        """One step of the arithmetic on sizes."""
        if isinstance(op, memref.LoadOp):
            number = splat_value(op.indices[0])
            self.names[op.res] = f"{self.names[op.memref]}[{number}]"
            return
        text = " * ".join(self.names[operand] for operand in op.operands)
        (result,) = op.results
        self.names[result] = self.scope.claim(result.name_hint or "size")
        self.lines.append(f"const int64_t {self.names[result]} = {text};")

    def _size_text(self, text: str) -> str:
        """A C expression for a `Size`, of the numbers that the call gives."""
        given = self.main.attributes["tilecast.sizes"]
        assert isinstance(given, ArrayAttr)
        symbols = [Symbol.parse(t.data).name for t in given if isinstance(t, StringAttr)]
        size: object = Size.parse(text)
        assert isinstance(size, Size)
        return size.c_text({name: f"sizes[{k}]" for k, name in enumerate(symbols)})

    def _call(self, call: str) -> None:
        if self.timed:
            seconds = f"{self.name}_seconds[{self.calls}]"
            call = f"{{ const double start = now(); {call} {seconds} += now() - start; }}"
        self.calls += 1
        self.lines.append(call)

    def _alias(self, result: SSAValue, source: SSAValue, offset: int) -> None:
        if offset == 0:
            self.names[result] = self.names[source]
        else:
            self.names[result] = f"{self.names[source]} + {offset}"
        self.is_const[result] = self.is_const[source]

    def _copy(self, op: memref.CopyOp) -> None:
        type = op.source.type
        assert isinstance(type, MemRefType)
        self.uses_memcpy = True
        bytes_each = BYTES[element_name(type.get_element_type())]
        elements = op.attributes.get("tilecast.elements")
        if isinstance(elements, StringAttr):
            size = f"(size_t)({self._size_text(elements.data)}) * {bytes_each}"
        else:
            size = str(prod(type.get_shape()) * bytes_each)
        target, source = self.names[op.destination], self.names[op.source]
        self.lines.append(f"memcpy({target}, {source}, {size});")


def _static_offset(op: memref.ReinterpretCastOp) -> int:
    (offset,) = op.static_offsets.get_values()
    if op.offsets or offset < 0:
        raise LoweringError("memref.reinterpret_cast: expected a constant offset")
    return int(offset)
