"""A SQLite file that belongs to one process: opens it, and explains its errors."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, TypeAlias

from nexxus.errors import ServiceUnavailable, StartupError
from nexxus.toolkit.file_lock import FileLock

Synchronous: TypeAlias = Literal["FULL", "NORMAL"]

CHECKPOINT_PAGES: Final = 4000
"""How far the write-ahead log grows (16 MiB) before it is copied into the file."""

_STORAGE_FAILURES: Final = frozenset(
    {
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOTADB,
    }
)


class SqliteFile:
    """The file at `path`, in write-ahead mode, with `schema` in it.

    `SqliteEngine` describes the arguments.
    """

    def __init__(
        self,
        path: Path,
        *,
        synchronous: Synchronous,
        schema: Sequence[str],
        busy_timeout: float,
        format: int,
    ) -> None:
        self.path = path
        self._synchronous = synchronous
        self._schema = tuple(schema)
        self._busy_timeout = busy_timeout
        self._format = format
        self._lock = FileLock(path.with_name(f"{path.name}.lock"))

    def open(self, *, readers: int) -> tuple[sqlite3.Connection, list[sqlite3.Connection]]:
        """Take ownership of the file; return a connection that writes and others that only read.

        Raises `StartupError`, with what to do, if another process owns the file or it cannot be
        used.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StartupError(
                f"the folder {self.path.parent} cannot be made ({error.strerror}); "
                "choose another data directory, or remove what is in its way"
            ) from error
        self._lock.acquire()
        connections: list[sqlite3.Connection] = []
        try:
            connections.append(self._open_writer())
            connections.extend(self._open_reader() for _ in range(readers))
        except BaseException as error:
            for connection in connections:
                close_connection(connection)
            self._lock.release()
            if isinstance(error, sqlite3.Error):
                raise StartupError(_why_unusable(self.path, error)) from error
            raise
        return connections[0], connections[1:]

    def release(self) -> None:
        """Let another process own the file. All connections must be closed before."""
        self._lock.release()

    def _open_writer(self) -> sqlite3.Connection:
        connection = self._connect()
        try:
            self._check_format(connection)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")
            connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            connection.execute(f"PRAGMA journal_size_limit = {CHECKPOINT_PAGES * 4096 * 4}")
            connection.execute("BEGIN IMMEDIATE")
            for statement in self._schema:
                connection.execute(statement)
            # Written at every start: a file that cannot be written to is found out here.
            connection.execute(f"PRAGMA user_version = {self._format}")
            connection.execute("COMMIT")
        except BaseException:
            close_connection(connection)
            raise
        return connection

    def _open_reader(self) -> sqlite3.Connection:
        connection = self._connect()
        connection.execute("PRAGMA query_only = ON")
        return connection

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path,
            timeout=self._busy_timeout,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=512,
        )
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA cache_size = -16384")
        return connection

    def _check_format(self, connection: sqlite3.Connection) -> None:
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if found > self._format:
            raise StartupError(
                f"{self.path} was written by a newer version (format {found}, known up to "
                f"{self._format}); upgrade, or give this one a data directory of its own"
            )


def close_connection(connection: sqlite3.Connection) -> None:
    """Close a connection, whatever state it is in."""
    # Closing copies the log into the file; where that fails, the next start does it.
    with contextlib.suppress(sqlite3.Error):
        connection.close()


def is_storage_failure(error: BaseException) -> bool:
    """Return whether SQLite failed because of the file or the disk, not because of a statement."""
    return (
        isinstance(error, sqlite3.Error)
        and (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _STORAGE_FAILURES
    )


def as_unavailable(error: Exception) -> Exception:
    """Return a failure of the storage as `ServiceUnavailable`, any other error as it is."""
    if not is_storage_failure(error):
        return error
    unavailable = ServiceUnavailable(f"the storage does not answer: {error}")
    unavailable.__cause__ = error
    return unavailable


def _why_unusable(path: Path, error: sqlite3.Error) -> str:
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT:
            fix = "the file is damaged or no SQLite file: restore a backup, or move it away"
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            fix = "make the file and its folder writable for this user"
        case sqlite3.SQLITE_CANTOPEN:
            fix = "check that the path is a file in a folder that this user can write to"
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            fix = "another program has the file locked; stop it"
        case sqlite3.SQLITE_FULL:
            fix = "free space on the disk"
        case _:
            fix = "check the disk and the file"
    return f"{path} cannot be used ({error}); {fix}"
