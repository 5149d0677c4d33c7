"""The program level as C functions that call kernels over the arena.

in:  func.func @main(inputs..., outputs..., %arena : memref<Nxi8>), and the functions that it calls
     for control flow
out: void NAME_program(const void *const *inputs, void *const *outputs,
                       const void *const *weights, unsigned char *arena), and static functions
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from xdsl.dialects import func, memref
from xdsl.dialects.builtin import ArrayAttr, StringAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue

from ...dialects.errors import LoweringError
from ...dialects.pairs import WordsOp
from ...dialects.sizes import Symbol
from .function import argument_roles
from .program_body import ProgramBody, pointer_type, symbol_of
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


# Who runs a streamed program defines it: a copy of (part of) what `weights[k]` stands for.
FETCH = "void {name}_fetch(void *to, const void *weight, size_t bytes);\n"


def program_weight_symbols(main: FuncOp, programs: Sequence[FuncOp] = ()) -> list[str]:
    """The symbols behind `weights[0]`, `weights[1]`, ...: in order of first use."""
    symbols: dict[str, None] = {}
    for function in (main, *programs):
        for op in function.walk():
            if isinstance(op, memref.GetGlobalOp):
                symbols[symbol_of(op.name_)] = None
    return list(symbols)


def emit_program(
    main: FuncOp,
    kernels: Sequence[FuncOp],
    name: str,
    prefix: str = "",
    *,
    programs: Sequence[FuncOp] = (),
    timed: bool = False,
) -> str:
    """A C file with the prototypes of `kernels` and the function `NAME_program`.

    `prefix` is that of the kernels' files; `programs` are what main calls for control flow. A
    `timed` program adds the seconds of each call to `NAME_seconds`, an array with one element per
    call.
    """
    return _ProgramEmitter(main, kernels, programs, prefix, timed).emit(name)


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
    callee = kernels.get(symbol_of(op.callee))
    if callee is None:
        raise LoweringError(f"program calls @{symbol_of(op.callee)}, which is no kernel here")
    pairs = zip(argument_roles(callee), op.arguments, strict=True)
    return [value for role, value in pairs if role == "out"]


def _origin(value: SSAValue) -> SSAValue:
    while isinstance(value.owner, memref.ReinterpretCastOp | memref.CastOp | WordsOp):
        value = value.owner.source
    return value


class _ProgramEmitter:
    """The file: prototypes, static functions of control flow, and the program function."""

    def __init__(
        self,
        main: FuncOp,
        kernels: Sequence[FuncOp],
        programs: Sequence[FuncOp],
        prefix: str,
        timed: bool,
    ) -> None:
        self.main, self.kernels, self.programs = main, kernels, programs
        self.prefix, self.timed = prefix, timed
        self.calls = 0
        symbols = program_weight_symbols(main, programs)
        self.weights = {symbol: k for k, symbol in enumerate(symbols)}
        given = main.attributes.get("tilecast.sizes")
        listed = given.data if isinstance(given, ArrayAttr) else ()
        self.symbols = [Symbol.parse(t.data).name for t in listed if isinstance(t, StringAttr)]
        self.arenas = {
            program.sym_name.data: argument_roles(program).index("arena") for program in programs
        }
        self.is_streamed = "tilecast.streamed" in main.attributes

    def emit(self, name: str) -> str:
        """The whole file."""
        self.name = name
        main = self._main()
        functions = [self._function(program) for program in self.programs]
        uses_memcpy = main.uses_memcpy or any(body.uses_memcpy for _, body, _ in functions)
        header = "string" if uses_memcpy else "stddef" if self.is_streamed else ""
        includes = "#include <stdint.h>\n" + (f"#include <{header}.h>\n" if header else "")
        head = (
            f"void {name}_program(const void *const *inputs, void *const *outputs,\n"
            f"    const void *const *weights, unsigned char *arena)"
        )
        unused = _unused(main, ("inputs", "outputs", "weights", "arena"))
        clock = TIMER.format(name=name, calls=max(1, self.calls)) if self.timed else ""
        parts = [
            includes,
            FETCH.format(name=name) if self.is_streamed else "",
            clock,
            emit_prototypes(self.kernels, self.prefix),
            "".join(f"{head};\n" for head, _, _ in functions),
            *(_definition(head, body, unused) for head, body, unused in functions),
            f"{head};\n",
            _definition(head, main, unused),
        ]
        return "\n".join(part for part in parts if part)

    def _body(self) -> ProgramBody:
        fetch = f"{self.name}_fetch" if self.is_streamed else None
        body = ProgramBody(self.weights, self.arenas, self._call, self.symbols, fetch)
        for reserved in ("inputs", "outputs", "weights", "arena", "now", "start"):
            body.scope.claim(reserved)
        return body

    def _main(self) -> ProgramBody:
        body, counts = self._body(), {"in": 0, "out": 0}
        kinds = argument_kinds(self.main, self.kernels)
        for argument, kind in zip(self.main.body.block.args, kinds, strict=True):
            if kind == "arena":
                body.names[argument], body.is_const[argument] = "arena", False
                continue
            array = "inputs" if kind == "in" else "outputs"
            source = f"{array}[{counts[kind]}]"
            counts[kind] += 1
            if argument.uses:
                body.declare(argument, source, const=kind == "in", cast=False)
        body.block(self.main.body.block)
        return body

    def _function(self, program: FuncOp) -> tuple[str, ProgramBody, list[str]]:
        """Head, body and unused parameters of a function that main calls for control flow."""
        body, parameters = self._body(), []
        for argument, role in zip(program.body.block.args, argument_roles(program), strict=True):
            if role == "arena":
                body.names[argument], body.is_const[argument] = "arena", False
                parameters.append("unsigned char *arena")
            else:
                body.name(argument, role == "in")
                parameters.append(pointer_type(argument, role == "in") + body.names[argument])
        body.block(program.body.block)
        parameters.append("const void *const *weights")
        name = f"{self.prefix}{program.sym_name.data}"
        unused = _unused(body, [text.rpartition("*")[2] for text in parameters])
        return f"static void {name}({', '.join(parameters)})", body, unused

    def _call(self, callee: str, arguments: Sequence[str]) -> str:
        listed = [*arguments, "weights"] if callee in self.arenas else arguments
        call = f"{self.prefix}{callee}({', '.join(listed)});"
        if self.timed:
            seconds = f"{self.name}_seconds[{self.calls}]"
            call = f"{{ const double start = now(); {call} {seconds} += now() - start; }}"
        self.calls += 1
        return call


def _unused(body: ProgramBody, parameters: Sequence[str]) -> list[str]:
    """Parameters of a function that its text does not mention."""
    mentioned = set(re.findall(r"\w+", "\n".join(body.lines)))
    return [name for name in parameters if name not in mentioned]


def _definition(head: str, body: ProgramBody, unused: Sequence[str]) -> str:
    lines = [f"    (void){parameter};" for parameter in unused] + body.lines
    return f"{head}\n{{\n" + "".join(f"{line}\n" for line in lines) + "}\n"
