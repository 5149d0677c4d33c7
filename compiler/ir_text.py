"""IR text that someone wrote, to a verified module; one error for all that can be wrong with it."""

from __future__ import annotations

import re

from xdsl.dialects import affine
from xdsl.dialects.builtin import ModuleOp
from xdsl.parser import Parser
from xdsl.utils.exceptions import DiagnosticException, ParseError, VerifyException

from ..dialects.errors import InvalidInputError
from ..passes.context import CompileContext

STRING = re.compile(r'"(?:[^"\\]|\\(?:["nt\\]|[0-9A-Fa-f]{2}))*"')
NOT_PRINTABLE = re.compile(r"[\v\f]")
HUGE_INTEGER = re.compile(r"\b[su]?i\d{6,}\b")


def parse_ir(context: CompileContext, text: str, source: str) -> ModuleOp:
    """The module that `text`, from `source`, describes; InvalidInputError where there is none."""
    check_strings(text, source)
    check_integer_types(text, source)
    try:
        module = Parser(context, text, source).parse_module()
        module.verify()
        check_subscripts(module)
    except (ParseError, DiagnosticException, VerifyException) as error:
        raise InvalidInputError(f"{source}: {error}") from error
    except Exception as error:  # the parser raises whatever it meets first in damaged text
        raise InvalidInputError(
            f"{source}: expected IR text, found what cannot be read: {error!r}"
        ) from error
    return module


def check_subscripts(module: ModuleOp) -> None:
    """VerifyException where a load or store has more or fewer indices than its map takes: xDSL
    checks that of other ops, and prints such a one by an index that is not there."""
    for op in module.walk():
        if not isinstance(op, (affine.LoadOp, affine.StoreOp)) or op.map is None:
            continue
        map, found = op.map.data, len(op.indices)
        if found != map.num_dims + map.num_symbols:
            raise VerifyException(
                f"{op.name}: the map {map} takes {map.num_dims + map.num_symbols} indices, "
                f"found {found}"
            )


def check_strings(text: str, source: str) -> None:
    """InvalidInputError for a string that does not end on its line or has an escape that is none:
    xDSL's lexer would take time that is exponential in its length."""
    for number, line in enumerate(text.split("\n"), 1):
        rest = NOT_PRINTABLE.sub('"', STRING.sub("", line)).partition("//")[0]
        if '"' in rest:
            raise InvalidInputError(
                f"{source}:{number}: expected strings that end on their line, with the escapes "
                f'\\", \\\\, \\n, \\t and two hexadecimal digits; found {line.strip()}'
            )


def check_integer_types(text: str, source: str) -> None:
    """InvalidInputError for an integer type of so many bits that xDSL would spend gigabytes on the
    range of its values."""
    if found := HUGE_INTEGER.search(text):
        raise InvalidInputError(
            f"{source}: expected integers of at most 64 bits, found the type {found[0][:40]}"
        )
