"""SQLite as the house uses it: WAL, one writer at a time, a numbered schema, and the disk's refusals as sentences."""

import sqlite3
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.errors import StorageError

BUSY_SECONDS = 15.0  # how long a write waits for another process


class Database:
    """One file, shared by threads through one connection; other processes may open it as well.

    `schema` is a script per version: a file of version n gets the scripts from n on. With `exclusive` the file belongs
    to this process until it closes or dies (the system frees the lock even after kill -9).
    """

    def __init__(self, path: Path, schema: Sequence[str], exclusive: bool = False) -> None:
        self.path = path
        self._lock = threading.RLock()
        with self._refusals():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                path, timeout=0.5 if exclusive else BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                self.fresh = self._prepare(schema, exclusive)
            except BaseException:
                self._connection.close()
                raise

    def _prepare(self, schema: Sequence[str], exclusive: bool) -> bool:
        """Settings and schema; whether the file was empty before."""
        if exclusive:
            self._connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        self._connection.execute("PRAGMA journal_mode=WAL")
        # Enough in WAL: nothing is lost by kill -9, and power loss leaves the file consistent.
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute("PRAGMA foreign_keys=ON")
        with self.write() as connection:
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            if version > len(schema):
                raise StorageError(
                    "{path} was written by a newer Stepwise: update this one, or move that file away.", path=self.path
                )
            for script in schema[version:]:
                for statement in script.split(";"):  # executescript would commit on its own
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version={len(schema)}")
        return version == 0

    @contextmanager
    def write(self) -> Generator[sqlite3.Connection, None, None]:
        """A transaction: all of the block or nothing. Waits for other writers, of this process and of others."""
        with self._lock, self._refusals():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def read(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with self._lock, self._refusals():
            return self._connection.execute(query, values).fetchall()

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def _refusals(self) -> Generator[None, None, None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise StorageError(
                    "{path} is in use by another Stepwise: close that one first.", path=self.path
                ) from error
            raise StorageError(
                "{path} could not be written: is the disk full or read-only? Free some space and try again.",
                path=self.path,
            ) from error
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError):
                raise
            raise StorageError("{path} is damaged: move it away, a new one is made.", path=self.path) from error
        except OSError as error:
            raise StorageError(
                "{path} could not be written: is the disk full or read-only? Free some space and try again.",
                path=self.path,
            ) from error
