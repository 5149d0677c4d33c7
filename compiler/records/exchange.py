"""Tuning records as JSON lines, to keep under version control and to hand to others.

The first line names format and version, every other line is a record. A file is taken as a whole:
one line that is wrong, and nothing of it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from ...dialects.errors import InvalidInputError
from .database import HEADER, Database, check_header
from .record import Record

FORMAT = "tilecast-records"
VERSION = 1
LONGEST_LINE = 2**20
LARGEST_BYTES = 2**30


def write_records(records: Iterable[Record], file: IO[str]) -> int:
    """Write records in an order of their own, so that equal sets are equal files; how many."""
    file.write(json.dumps({"format": FORMAT, "version": VERSION}) + "\n")
    lines = sorted(json.dumps(asdict(record), sort_keys=True) for record in records)
    file.writelines(line + "\n" for line in lines)
    return len(lines)


def read_records(path: Path) -> list[Record]:
    """The records of a file of JSON lines or of a database; InvalidInputError for anything else."""
    if not path.is_file():
        raise InvalidInputError(f"{path}: there is no such file of tuning records")
    with path.open("rb") as file:
        start = file.read(len(HEADER))
    if start == HEADER:
        check_header(path)
        with Database(path, create=False) as database:
            return database.records()
    size = path.stat().st_size
    if size > LARGEST_BYTES:
        raise unreadable(path, 0, f"{size} bytes are more than the {LARGEST_BYTES} allowed")
    found: list[Record] = []
    for number, data in _lines(path):
        if number == 1:
            _check_first(path, data)
            continue
        try:
            found.append(Record.from_data(data))
        except InvalidInputError as error:
            raise unreadable(path, number, str(error)) from error
    return found


def _lines(path: Path) -> Iterator[tuple[int, Any]]:
    """(number, JSON data) of each line, of which there is at least one."""
    number = 0
    with path.open("rb") as file:
        while line := file.readline(LONGEST_LINE + 1):
            number += 1
            if len(line) > LONGEST_LINE:
                raise unreadable(path, number, f"it is longer than {LONGEST_LINE} bytes")
            if not line.endswith(b"\n"):
                raise unreadable(path, number, "the file ends in the middle of a line")
            try:
                yield number, json.loads(line, parse_constant=_no_constant)
            except (ValueError, RecursionError) as error:
                raise unreadable(path, number, f"it is no JSON: {error}"[:200]) from error
    if number == 0:
        raise unreadable(path, 0, "it is empty")


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _check_first(path: Path, data: Any) -> None:
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise unreadable(path, 1, f"expected the format {FORMAT!r}")
    if data.get("version") != VERSION:
        raise unreadable(path, 1, f"version {data.get('version')!r:.20}, expected {VERSION}")


def unreadable(path: Path, line: int, reason: str) -> InvalidInputError:
    """The one error for a file that is refused."""
    where = f"{path}, line {line}" if line else str(path)
    return InvalidInputError(
        f"{where}: {reason}. Expected tuning records as `tilecast db export` writes them; nothing "
        "of this file was taken"
    )
