"""Rules of loops, branches and returns."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects import func, scf
from xdsl.dialects.builtin import VectorType
from xdsl.ir import Operation, SSAValue

from ...dialects.errors import LoweringError
from .captures import are_distinct, captured
from .expression import Expr
from .function import FunctionEmitter
from .outlining import are_calls_after
from .parallel_regions import is_region
from .registry import emits
from .short_steps import unroll_pragma
from .streaming_stores import FENCE, streams_alone

# On scf.for whose body is to be a function that is not inlined: gcc 12 keeps constants of what is
# around it in registers that the accumulators of a tile then lack.
CALLED_BODY = "tilecast.called"


@emits(scf.ForOp)
def emit_for(emitter: FunctionEmitter, op: Operation) -> None:
    """A counted loop; carried values are variables declared before it."""
    assert isinstance(op, scf.ForOp)
    index, *carried = op.body.block.args
    names = []
    for position, (argument, init) in enumerate(zip(carried, op.iter_args, strict=True)):
        name = _shared_variable(emitter, op, position)
        if name is None:
            value = emitter.expr(init)
            name = emitter.declare_variable(argument)
            emitter.line(f"{emitter.c_type(argument.type)} {name} = {value.text};")
        else:
            emitter.expr(init)
            emitter.set_variable(argument, name)
        names.append(name)
    bounds = [bound(emitter, v) for v in (op.lb, op.ub, op.step)]
    emitter.flush()
    outer = emitter.scope
    starts_region = not emitter.in_region and is_region(op)
    if starts_region:
        emitter.in_region = True
        emitter.directive("#ifdef _OPENMP")
        emitter.directive("#pragma omp parallel")
        emitter.directive("#endif")
    for line in unroll_pragma(op, emitter.prelude.machine):
        emitter.directive(line)
    emitter.open(loop_header(emitter, index, bounds))
    values = captured(emitter, op) if CALLED_BODY in op.attributes else None
    if values is not None and not op.iter_args and are_distinct(values):
        emitter.line(emitter.outline(op.body.block, [index, *values], called=True))
    else:
        emitter.block(op.body.block, names)
    emitter.close()
    if starts_region:
        emitter.in_region = False
    assert emitter.scope is outer
    for result, name in zip(op.results, names, strict=True):
        emitter.set_variable(result, name)
    _store_waiting_sums(emitter, op)


def _store_waiting_sums(emitter: FunctionEmitter, op: scf.ForOp) -> None:
    """Let vectors that calls after the loop would be saved around mean what lies in memory."""
    vectors = [result for result in op.results if isinstance(result.type, VectorType)]
    if not vectors or not are_calls_after(op):
        return
    for result in vectors:
        shape = emitter.prelude.shape(result.type)
        if shape.is_native and not shape.is_mask and _has_plain_users(result, op):
            total = emitter.expr(result)
            name = emitter.declare(result)
            emitter.line(f"const volatile {shape.c_type} {name} = {total.text};")


def _has_plain_users(result: SSAValue, loop: scf.ForOp) -> bool:
    """Whether only ops beside `loop` use its `result`, and neither loops nor branches do."""
    users = [use.operation for use in result.uses]
    is_plain = all(u.parent is loop.parent and u.results and not u.regions for u in users)
    return bool(users) and is_plain


def _shared_variable(emitter: FunctionEmitter, op: scf.ForOp, position: int) -> str | None:
    """The enclosing loop's variable, where this loop merely continues it.

    True if the initial value is a variable used for nothing else, and the result is only yielded
    back into that same variable.
    """
    init, result = op.iter_args[position], op.results[position]
    if not emitter.is_variable(init) or not init.has_one_use():
        return None
    name = emitter.expr(init).text
    user = result.get_user_of_unique_use()
    if not isinstance(user, scf.YieldOp) or user.parent is not op.parent:
        return None
    targets = emitter.assign_to[-1]
    (use,) = result.uses
    if use.index >= len(targets) or targets[use.index] != name:
        return None
    return name


def bound(emitter: FunctionEmitter, value: SSAValue) -> Expr:
    """A loop bound: evaluated once, so a name or a literal where it is not a cheap expression."""
    expression = emitter.expr(value)
    if expression.reads or expression.identifiers & {"tc_floor_div_index", "tc_ceil_div_index"}:
        return emitter.atom(value)
    return expression


def loop_header(
    emitter: FunctionEmitter, index: SSAValue, bounds: Sequence[Expr], descends: bool = False
) -> str:
    """The `for` line, from the last iteration to the first where it `descends` in steps of one;
    claims the name of `index`."""
    lower, upper, step = bounds
    ctype, name = emitter.c_type(index.type), emitter.declare_loop_index(index)
    if descends and step.value == 1:
        last = f"{upper.at(5)} - 1" if upper.value is None else str(upper.value - 1)
        return f"for ({ctype} {name} = {last}; {name} >= {lower.at(5)}; --{name}) {{"
    advance = f"++{name}" if step.value == 1 else f"{name} += {step.text}"
    return f"for ({ctype} {name} = {lower.text}; {name} < {upper.at(5)}; {advance}) {{"


@emits(scf.IfOp)
def emit_if(emitter: FunctionEmitter, op: Operation) -> None:
    """A branch; results are variables that each side assigns."""
    assert isinstance(op, scf.IfOp)
    condition = emitter.expr(op.cond)
    names: list[str | None] = []
    for result in op.results:
        if not result.uses:
            names.append(None)
            continue
        name = emitter.declare_variable(result)
        emitter.line(f"{emitter.c_type(result.type)} {name};")
        names.append(name)
    emitter.flush()
    emitter.open(f"if ({condition.text}) {{")
    emitter.block(op.true_region.block, names)
    if op.false_region.blocks and (names or _has_body(op)):
        emitter.close("} else {")
        emitter.reopen()
        emitter.block(op.false_region.block, names)
    emitter.close()


def _has_body(op: scf.IfOp) -> bool:
    first = op.false_region.block.first_op
    return first is not None and not isinstance(first, scf.YieldOp)


@emits(scf.YieldOp)
def emit_yield(emitter: FunctionEmitter, op: Operation) -> None:
    """Assign the carried variables at once: a value that reads an assigned one is saved first."""
    targets = emitter.assign_to[-1]
    values = [emitter.expr(value) for value in op.operands]
    pairs = [
        (name, value)
        for name, value in zip(targets, values, strict=True)
        if name is not None and name != value.text
    ]
    saved: dict[str, str] = {}
    for position, (name, _) in enumerate(pairs):
        if any(name in later.identifiers for _, later in pairs[position + 1 :]):
            saved[name] = emitter.scope.claim(f"{name}_next")
    for name, value in pairs:
        if name in saved:
            ctype = emitter.c_type(op.operands[targets.index(name)].type)
            emitter.line(f"const {ctype} {saved[name]} = {value.text};")
    for name, value in pairs:
        if name not in saved:
            emitter.line(f"{name} = {value.text};")
    for name, copy in saved.items():
        emitter.line(f"{name} = {copy};")


@emits(scf.ReduceOp)
def emit_reduce(emitter: FunctionEmitter, op: Operation) -> None:
    """The end of a parallel loop: nothing to do."""


@emits(func.ReturnOp)
def emit_return(emitter: FunctionEmitter, op: Operation) -> None:
    """Return the value, if there is one; what was stored around the caches is in memory then."""
    if streams_alone(emitter.func):
        emitter.effect(FENCE)
    if op.operands:
        emitter.line(f"return {emitter.expr(op.operands[0]).text};")


@emits(func.FuncOp)
def emit_function(emitter: FunctionEmitter, op: Operation) -> None:
    """Functions are emitted by `emit_unit`, never inside one another."""
    raise LoweringError("a function inside a function cannot be emitted")
