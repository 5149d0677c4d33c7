"""The working store of tuning records: SQLite, safe for several writers and for sudden death.

Each record is a transaction of its own in a write-ahead log: a process that is killed loses what it
was measuring and nothing else. Beside the records are the features of what was measured here, from
which the next run's cost model learns; they are not handed on. A file that is damaged, of another
version, or that holds anything besides is refused before a record is read.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import astuple, fields
from pathlib import Path

from ...dialects.errors import InvalidInputError
from .record import Record

SCHEMA = 2
WITHOUT_FEATURES = 1  # is given the missing table
APPLICATION = 0x74696C65  # "tile"
HEADER = b"SQLite format 3\0"
LARGEST_BYTES = 4 * 2**30
BUSY_SECONDS = 60.0
COLUMNS = tuple(f.name for f in fields(Record))
TABLE = (
    "CREATE TABLE records (identity TEXT PRIMARY KEY, task TEXT NOT NULL, name TEXT NOT NULL, "
    "target TEXT NOT NULL, compiler TEXT NOT NULL, threads INTEGER NOT NULL, steps TEXT NOT NULL, "
    "seconds REAL, baseline REAL, noise REAL NOT NULL, repeats INTEGER NOT NULL, failure TEXT, "
    "detail TEXT NOT NULL, time REAL NOT NULL) WITHOUT ROWID"
)
INDEX = "CREATE INDEX records_of_task ON records (task, target, threads)"
FEATURES = (
    "CREATE TABLE features (identity TEXT PRIMARY KEY, schema TEXT NOT NULL, row BLOB NOT NULL) "
    "WITHOUT ROWID"
)
OF_RECORDS = {"records": TABLE, "records_of_task": INDEX}
LARGEST_ROW = 2**16
UNREADABLE = (sqlite3.Error, UnicodeDecodeError)  # the messages of SQLite quote damaged names


class Database:
    """The records in the file `path`, which is made where there is none and `create` says so."""

    def __init__(self, path: Path, create: bool = True) -> None:
        self.path = path
        exists = path.exists()
        if not exists and not create:
            raise InvalidInputError(f"{path}: there is no tuning database")
        if exists:
            check_header(path)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
            self._connection.execute("PRAGMA trusted_schema = OFF")
            if not path.stat().st_size:
                self._create()
            self._check()
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
        except (*UNREADABLE, OSError) as error:
            raise refused(path, str(error)) from error
        except InvalidInputError:
            self._connection.close()
            raise

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def add(self, records: Iterable[Record]) -> int:
        """Store what is not there yet, all of it or nothing; how many records were new."""
        rows = [(record.identity, *astuple(record)) for record in records]
        places = ", ".join("?" * (len(COLUMNS) + 1))
        statement = f"INSERT OR IGNORE INTO records VALUES ({places})"
        try:
            with self._transaction():
                before = self._connection.total_changes
                self._connection.executemany(statement, rows)
                return self._connection.total_changes - before
        except UNREADABLE as error:
            raise refused(self.path, str(error)) from error

    def records(
        self, task: str | None = None, target: str | None = None, threads: int | None = None
    ) -> list[Record]:
        """The records that are asked for, oldest first."""
        wanted = {"task": task, "target": target, "threads": threads}
        given = {name: value for name, value in wanted.items() if value is not None}
        where = " AND ".join(f"{name} = ?" for name in given) or "1"
        query = f"SELECT {', '.join(COLUMNS)} FROM records WHERE {where} ORDER BY time, identity"
        try:
            rows = self._connection.execute(query, list(given.values())).fetchall()
            return [Record(*row) for row in rows]
        except (*UNREADABLE, InvalidInputError) as error:
            raise refused(self.path, str(error)) from error

    def remove(self, records: Iterable[Record]) -> int:
        """Forget records; how many there were."""
        rows = [(record.identity,) for record in records]
        try:
            with self._transaction():
                self._connection.executemany("DELETE FROM features WHERE identity = ?", rows)
                before = self._connection.total_changes
                self._connection.executemany("DELETE FROM records WHERE identity = ?", rows)
                return self._connection.total_changes - before
        except UNREADABLE as error:
            raise refused(self.path, str(error)) from error

    def add_features(self, record: Record, schema: str, row: bytes) -> None:
        """Store the features of what was measured for `record`, as bytes of the schema."""
        try:
            with self._transaction():
                self._connection.execute(
                    "INSERT OR IGNORE INTO features VALUES (?, ?, ?)",
                    (record.identity, schema, row),
                )
        except UNREADABLE as error:
            raise refused(self.path, str(error)) from error

    def features(self, schema: str, target: str, threads: int) -> list[tuple[Record, bytes]]:
        """Records with their features in this schema, oldest first."""
        names = ", ".join(f"records.{name}" for name in COLUMNS)
        query = (
            f"SELECT {names}, substr(row, 1, {LARGEST_ROW}) FROM records JOIN features "
            "USING (identity) WHERE schema = ? AND target = ? AND threads = ? "
            "ORDER BY time, identity"
        )
        try:
            rows = self._connection.execute(query, (schema, target, threads)).fetchall()
            return [(Record(*row[:-1]), bytes(row[-1])) for row in rows]
        except (*UNREADABLE, InvalidInputError, TypeError) as error:
            raise refused(self.path, str(error)) from error

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def _create(self) -> None:
        """Make an empty database; another process may have been quicker."""
        with self._transaction():
            if self._names():
                return
            self._connection.execute(f"PRAGMA application_id = {APPLICATION}")
            self._connection.execute(f"PRAGMA user_version = {SCHEMA}")
            for definition in (TABLE, INDEX, FEATURES):
                self._connection.execute(definition)

    def _add_missing_table(self) -> None:
        """Make a database of an earlier version one of this; another process may be quicker."""
        with self._transaction():
            if self._names() == OF_RECORDS:
                self._connection.execute(FEATURES)
                self._connection.execute(f"PRAGMA user_version = {SCHEMA}")

    def _names(self) -> dict[str, str]:
        """What is in the file: names and definitions."""
        rows = self._connection.execute("SELECT name, sql FROM sqlite_master").fetchall()
        return {name: sql for name, sql in rows if sql is not None}

    def _check(self) -> None:
        """InvalidInputError for a database that `_create` did not make, or that is damaged."""
        application = self._connection.execute("PRAGMA application_id").fetchone()[0]
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if application != APPLICATION:
            raise refused(self.path, "it is a database of another program")
        if version not in (SCHEMA, WITHOUT_FEATURES):
            raise refused(self.path, f"it has version {version}, expected {SCHEMA}")
        if version == WITHOUT_FEATURES and self._names() == OF_RECORDS:
            self._add_missing_table()
        if self._names() != {**OF_RECORDS, "features": FEATURES}:
            raise refused(self.path, "it holds other things than a table of records")
        damage = self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if damage != "ok":
            raise refused(self.path, f"it is damaged: {damage}")


def check_header(path: Path) -> None:
    """InvalidInputError for what is no SQLite file of a sane size."""
    if not path.is_file():
        raise refused(path, "it is not a file")
    size = path.stat().st_size
    if size > LARGEST_BYTES:
        raise refused(path, f"it has {size} bytes, at most {LARGEST_BYTES} are allowed")
    with path.open("rb") as file:
        start = file.read(len(HEADER))
    if start and start != HEADER:
        raise refused(path, "it is no SQLite database")


def refused(path: Path, reason: str) -> InvalidInputError:
    """The one error for a database that cannot be used."""
    return InvalidInputError(
        f"{path} cannot be used as a tuning database: {reason}. Expected a file that tilecast "
        "wrote; move this one away or give another with --database"
    )
