"""One function of the loops level as C text.

Pure values with one use in their own block become part of the expression that uses them; all others
become named locals. A load stays part of an expression only until something may write memory.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from xdsl.dialects.arith import AddiOp
from xdsl.dialects.builtin import ArrayAttr, IndexType, MemRefType, StringAttr, VectorType
from xdsl.dialects.func import FuncOp
from xdsl.dialects.scf import ForOp
from xdsl.ir import Attribute, Block, BlockArgument, Operation, SSAValue
from xdsl.traits import is_side_effect_free

from ...dialects.errors import LoweringError
from .c_types import scalar_type, storage_type
from .expression import Expr, add, integer
from .index_width import index_type
from .outlining import CALLED
from .prelude import Prelude
from .registry import LANES, STATEMENTS, has_rule
from .scope import Scope
from .update_chains import update_chains

_INLINE_WIDTH = 64
_LOOP_NAMES = "ijklmnpq"
WRITTEN_ROLES = ("out", "inout", "scratch", "semaphores")


class FunctionEmitter:
    """State of the emission of one function: lines, names and the C meaning of each SSA value.

    `nested` says that arrays have one subscript per dimension, as a person would write them; only
    scalar accesses have that form.
    """

    def __init__(
        self, func: FuncOp, prelude: Prelude, prefix: str = "", nested: bool = False
    ) -> None:
        self.func = func
        self.nested = nested
        self.index_type = index_type(func, prelude.machine)
        self.name = prefix + func.sym_name.data
        self.prelude = prelude
        self.scope = Scope()
        self.assign_to: list[list[str | None]] = []
        self._lines: list[str] = []
        self._depth = 0
        self._loop_depth = 0
        self._values: dict[SSAValue, Expr] = {}
        self._pending: list[SSAValue] = []
        self._repeatable: set[SSAValue] = set()
        self._variables: set[SSAValue] = set()
        self._chains: dict[ForOp, dict[SSAValue, int]] = {}
        self._displaced: dict[SSAValue, tuple[Expr, int]] = {}
        self.in_region = False
        self.outlined: list[str] = []

    # --- text ---------------------------------------------------------------------------------

    def line(self, text: str) -> None:
        """Append a line that neither reads nor writes memory by itself."""
        self._lines.append("    " * self._depth + text)

    def directive(self, text: str) -> None:
        """Append a preprocessor line."""
        self._lines.append(text)

    def effect(self, text: str) -> None:
        """Append a statement that may write memory, after the loads that came before it."""
        self.flush()
        self.line(text)

    def flush(self) -> None:
        """Give every load that is still to be placed a local of its own."""
        for value in list(self._pending):
            if value in self._pending:
                self._materialize(value)

    def open(self, header: str) -> None:
        """Start a C block."""
        self.line(header)
        self._depth += 1
        self.scope = Scope(self.scope)

    def close(self, footer: str = "}") -> None:
        """End a C block."""
        assert self.scope.parent is not None
        self._depth -= 1
        self.scope = self.scope.parent
        self.line(footer)

    def reopen(self) -> None:
        """Start the next C block of a chain whose header `close` has written."""
        self._depth += 1
        self.scope = Scope(self.scope)

    # --- values -------------------------------------------------------------------------------

    def expr(self, value: SSAValue) -> Expr:
        """The C expression of `value`; a pending load counts as placed by the caller."""
        if value in self._pending:
            self._pending.remove(value)
        return self._values[value]

    def atom(self, value: SSAValue) -> Expr:
        """The C expression of `value` as a name or literal, which may be written repeatedly."""
        if not self._values[value].is_atom and value not in self._repeatable:
            self._materialize(value)
        return self._values[value]

    def set(self, value: SSAValue, expression: Expr) -> None:
        """Let `value` mean an expression that is free to repeat anywhere."""
        self._repeatable.add(value)
        self._values[value] = expression

    def bind(self, value: SSAValue, expression: Expr) -> None:
        """Let `value` mean a pure expression: in place if used once nearby, else a local."""
        if not value.uses:
            return
        if expression.is_atom:
            self._values[value] = expression
            return
        displaced = self._displacement(value)
        if displaced is not None:
            self._displaced[value] = displaced
            self.set(value, add(displaced[0], integer(displaced[1])))
            return
        self._values[value] = expression
        if expression.reads:
            self._pending.append(value)
        carried = self._carried_variable(value)
        if carried is not None:
            self.line(f"{carried} = {self.expr(value).text};")
            self._values[value] = Expr(carried)
            return
        user = value.get_user_of_unique_use()
        if (
            user is None
            or user.parent is not value.owner.parent
            or user.regions
            or len(expression.text) > _INLINE_WIDTH
        ):
            self._materialize(value)

    def _displacement(self, value: SSAValue) -> tuple[Expr, int] | None:
        """(name, constant) of an index that is their sum, which is no work for an access."""
        owner = value.owner
        if not isinstance(owner, AddiOp) or not isinstance(value.type, IndexType):
            return None
        base, constant = owner.operands
        number = self._values[constant].value
        if number is None or self.is_variable(base) or base in self._pending:
            return None
        name, more = self._displaced.get(base, (self._values[base], 0))
        return (name, more + number) if name.is_atom and name.value is None else None

    def displaced(self, value: SSAValue) -> tuple[Expr, int]:
        """The expression of an index, its constant addend apart."""
        return self._displaced.get(value) or (self.expr(value), 0)

    def _carried_variable(self, value: SSAValue) -> str | None:
        """The loop variable that `value` is the next value of, where it may be assigned at once.

        That is where nothing else reads the variable, or the steps between it and `value`.
        Assigning in place keeps the order of the IR: accumulators are updated one by one, with few
        other values alive.
        """
        loop = value.owner.parent_op() if isinstance(value.owner, Operation) else None
        if not isinstance(loop, ForOp):
            return None
        if loop not in self._chains:
            self._chains[loop] = update_chains(loop)
        position = self._chains[loop].get(value)
        return None if position is None else self.assign_to[-1][position]

    def _materialize(self, value: SSAValue) -> None:
        expression = self.expr(value)
        name = self.declare(value)
        self.line(f"const {self.c_type(value.type)} {name} = {expression.text};")

    def declare(self, value: SSAValue) -> str:
        """Claim a name for `value` in the current block and let it mean that name."""
        name = self.scope.claim(value.name_hint or _default_name(value.type))
        self._values[value] = Expr(name)
        return name

    def declare_variable(self, value: SSAValue) -> str:
        """As `declare`, for a local that is assigned more than once."""
        self._variables.add(value)
        return self.declare(value)

    def set_variable(self, value: SSAValue, name: str) -> None:
        """Let `value` mean a local that is assigned more than once."""
        self._variables.add(value)
        self._values[value] = Expr(name)

    def is_variable(self, value: SSAValue) -> bool:
        """True if the local of `value` is assigned more than once."""
        return value in self._variables

    def declare_loop_index(self, value: SSAValue) -> str:
        """Claim a name for a loop index: its hint, or i, j, k by depth."""
        hint = value.name_hint or _LOOP_NAMES[self._loop_depth % len(_LOOP_NAMES)]
        name = self.scope.claim(hint)
        self._values[value] = Expr(name)
        return name

    def c_type(self, type: Attribute) -> str:
        """The C type of a local."""
        if isinstance(type, VectorType):
            return self.prelude.shape(type).c_type
        if isinstance(type, IndexType):
            return self.index_type
        if scalar_type(type) == "bool":
            self.prelude.include("<stdbool.h>")
        return scalar_type(type)

    # --- blocks -------------------------------------------------------------------------------

    def block(self, block: Block, assign_to: Sequence[str | None] = ()) -> None:
        """Emit the ops of a loop or branch body; `scf.yield` assigns to `assign_to`.

        None stands for a result that nothing uses.
        """
        self.assign_to.append(list(assign_to))
        self._loop_depth += 1
        self.ops(block.ops)
        self._loop_depth -= 1
        self.assign_to.pop()

    def ops(self, ops: Iterable[Operation]) -> None:
        """Emit `ops` in order, leaving out pure ops without uses."""
        for op in ops:
            if not has_rule(op):
                raise LoweringError(f"no C emission rule for {op.name}")
            if _is_pure(op) and not any(r.uses for r in op.results):
                continue
            if type(op) in STATEMENTS:
                STATEMENTS[type(op)](self, op)
            else:
                from .lanes import emit_elementwise

                emit_elementwise(self, op, LANES[type(op)])

    def is_local(self, value: SSAValue) -> bool:
        """Whether the C expression of `value` contains a name of this function."""
        return any(self.scope.is_taken(name) for name in self._values[value].identifiers)

    def outline(self, block: Block, captured: Sequence[SSAValue], called: bool = False) -> str:
        """Put `block` into a function of its own, with `captured` as parameters; the call of it.

        Nothing else may be used in `block` but constants. Arrays among `captured` are distinct.
        `called` says that the function must not be inlined.
        """
        arguments = [self.expr(value).text for value in captured]
        outer = (self._lines, self._depth, self.scope, self.in_region, dict(self._values))
        self._lines, self._depth, self.scope, self.in_region = [], 1, Scope(), False
        displaced, self._displaced = self._displaced, {}  # parameters are names of their own
        written = _written_arguments(self.func)
        parameters = [
            self._parameter(value, value.name_hint or _default_name(value.type), written)
            for value in captured
        ]
        self.block(block)
        name = f"{self.name}_{'part' if called else 'parallel'}_{len(self.outlined)}"
        head = f"{CALLED if called else 'static '}void {name}({', '.join(parameters)})"
        self.outlined.append("\n".join([head, "{", *self._lines, "}"]) + "\n\n")
        self._lines, self._depth, self.scope, self.in_region, self._values = outer
        self._displaced = displaced
        return f"{name}({', '.join(arguments)});"

    def _parameter(self, value: SSAValue, hint: str, written: Collection[BlockArgument]) -> str:
        """The declaration of a parameter, whose name `value` takes."""
        name = self.scope.claim(hint)
        self._values[value] = Expr(name)
        if not isinstance(value.type, MemRefType):
            return f"{self.c_type(value.type)} {name}"
        is_constant = isinstance(value, BlockArgument) and value not in written
        ctype = storage_type(value.type.get_element_type())
        inner = "".join(f"[{n}]" for n in value.type.get_shape()[1:])
        declared = f"*restrict {name}"
        if self.nested and inner:
            declared = f"({declared}){inner}"
        return f"{'const ' if is_constant else ''}{ctype} {declared}"

    # --- the function -------------------------------------------------------------------------

    def prototype(self) -> str:
        """The declaration without `;`, claiming the argument names."""
        results = self.func.function_type.outputs.data
        if len(results) > 1:
            raise LoweringError(f"@{self.func.sym_name.data}: at most one result can be emitted")
        returns = self.c_type(results[0]) if results else "void"
        written = _written_arguments(self.func)
        parameters = [
            self._parameter(argument, argument.name_hint or f"arg{index}", written)
            for index, argument in enumerate(self.func.body.block.args)
        ]
        return f"{returns} {self.name}({', '.join(parameters) or 'void'})"

    def emit(self, prefix: str = "") -> str:
        """The definition; `prefix` is e.g. "static "."""
        head = prefix + self.prototype()
        self.line(head)
        self.line("{")
        self._depth += 1
        for argument in self.func.body.block.args:
            if not argument.uses:
                self.line(f"(void){self._values[argument].text};")
        self.ops(self.func.body.block.ops)
        self._depth -= 1
        self.line("}")
        return "\n".join(self._lines) + "\n"


MEMORY_READS = frozenset(
    ("memref.load", "vector.load", "vector.maskedload", "vector.gather", "vector.create_mask")
)


def _is_pure(op: Operation) -> bool:
    """True if `op` may be left out where its results are not used."""
    return op.name in MEMORY_READS or (bool(op.results) and is_side_effect_free(op))


def signature_comment(func: FuncOp) -> str:
    """The kernel's IR signature as a comment: names, types and roles of its arguments."""
    roles = argument_roles(func)
    parts = []
    for index, argument in enumerate(func.body.block.args):
        role = f" ({roles[index]})" if index < len(roles) else ""
        parts.append(f"{argument.name_hint or f'arg{index}'}: {_short(argument.type)}{role}")
    text = f"/* {func.sym_name.data}"
    for part in parts:
        text += f"\n * {part}"
    return text + (" */\n" if not parts else "\n */\n")


def _short(type: Attribute) -> str:
    if not isinstance(type, MemRefType):
        return str(type)
    extents = "".join("[?]" if n < 0 else f"[{n}]" for n in type.get_shape())
    return f"{type.get_element_type()}{extents}"


def argument_roles(func: FuncOp) -> list[str]:
    """The attribute `tilecast.roles`, empty where `func` has none."""
    roles = func.attributes.get("tilecast.roles")
    if not isinstance(roles, ArrayAttr):
        return []
    return [role.data for role in roles if isinstance(role, StringAttr)]


def _written_arguments(func: FuncOp) -> set[BlockArgument]:
    """Arguments with a role that is written; without roles, every one that some op may write."""
    arguments = func.body.block.args
    roles = argument_roles(func)
    if roles:
        return {a for a, role in zip(arguments, roles, strict=True) if role in WRITTEN_ROLES}
    stores = ("memref.store", "vector.store", "vector.maskedstore", "vector.scatter", "func.call")
    return {a for a in arguments if any(use.operation.name in stores for use in a.uses)}


def _default_name(type: Attribute) -> str:
    if not isinstance(type, VectorType):
        return "t"
    return "m" if scalar_mask(type) else "v"


def scalar_mask(type: VectorType[Attribute]) -> bool:
    """True for vectors of i1."""
    return str(type.element_type) == "i1"
