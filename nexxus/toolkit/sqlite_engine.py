"""A SQLite file as an asyncio service: one writer with group commit, a few readers.

All that waits to be written is executed in one transaction and made durable by one fsync, so
that the number of writers costs little. Every job has a savepoint of its own: one that fails
spoils no other.

SQLite gives up the interpreter's lock at every step of a statement, and beside a busy event
loop it waits for `sys.getswitchinterval()` (5 ms) or longer to have it back. What counts is
therefore not how much a statement does but **how many steps** a job takes: ask for one row that
holds everything, insert many rows with one statement, and let what is waiting be written
together (`SqliteEngine.write_together`).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, Literal, TypeAlias, TypeVar

from nexxus.errors import ServiceUnavailable, StartupError
from nexxus.toolkit.file_lock import FileLock

T = TypeVar("T")
Item = TypeVar("Item")

Synchronous: TypeAlias = Literal["FULL", "NORMAL"]
Handler: TypeAlias = Callable[[sqlite3.Connection, Sequence[Item]], Sequence[T]]

JOBS_PER_TRANSACTION: Final = 4096
CHECKPOINT_PAGES: Final = 4000
"""How far the write-ahead log grows (16 MiB) before it is copied into the file."""

_PATIENCE: Final = 0.004
_TURN: Final = 0.0002
"""Seconds without an answer after which the loop gives way to the threads, and for how long."""

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


class SqliteEngine:
    """Runs jobs on the SQLite file at `path`.

    `schema` are statements that may be executed at every start (``CREATE … IF NOT EXISTS``).
    With `synchronous` ``FULL`` a write that returned survives a loss of power, with ``NORMAL``
    the death of the process. `busy_timeout` is in seconds: how long to wait for a foreign
    program that has the file locked. `format` numbers the schema's form, from 1; a file of a later
    one is refused.

    All methods belong to one event loop. A storage that fails (disk full, I/O error, damaged
    file) raises `ServiceUnavailable` from `read` and `write`, with nothing of the job done;
    the next call tries anew. Whatever else a job raises comes out as it is.
    """

    def __init__(
        self,
        path: Path,
        *,
        synchronous: Synchronous = "FULL",
        readers: int = 2,
        schema: Sequence[str] = (),
        busy_timeout: float = 5.0,
        format: int = 1,
    ) -> None:
        self.path = path
        self._synchronous = synchronous
        self._readers = readers
        self._schema = tuple(schema)
        self._busy_timeout = busy_timeout
        self._format = format
        self._lock = FileLock(path.with_name(f"{path.name}.lock"))
        # The queues need no bound: their entries are callers that wait for an answer.
        self._writes: SimpleQueue[_Job | None] = SimpleQueue()
        self._reads: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turn: asyncio.TimerHandle | None = None
        self._outstanding = 0
        self._answers = self._answers_before = 0

    async def open(self) -> None:
        """Open or create the file; `StartupError` says why that cannot be, and the mend.

        The file is this engine's alone until `close`: a second one on it is refused.
        """
        await asyncio.to_thread(self._open, asyncio.get_running_loop())

    async def close(self) -> None:
        """Finish what was asked for and let go of the file; may be called twice."""
        if self._loop is None:
            return
        self._loop = None
        readers = len(self._threads) - 1
        for _ in range(readers):
            self._reads.put(None)
        self._writes.put(None)
        threads, self._threads = self._threads, []
        await asyncio.to_thread(self._join, threads)

    async def write(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run `job` within the writer's transaction; durable on return.

        The job may read what earlier jobs wrote. It neither begins nor commits. One that
        raises leaves nothing behind; its exception is raised here. Cancelling this call does
        not stop the job.
        """
        result: T = await self._enqueue(self._writes, job, _alone)
        return result

    async def write_together(self, handler: Handler[Item, T], item: Item) -> T:
        """Like `write`, with what waits for the same `handler` given to it in one call.

        The handler returns one result per item, in their order, which is that of the calls.
        When it raises, it is called again for each item alone.
        """
        result: T = await self._enqueue(self._writes, item, handler)
        return result

    async def read(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run `job` on a read-only connection, beside writes and other reads.

        Each of its statements sees every write that had returned when it began. The job returns
        values, never a cursor: one that is not exhausted would hold on to its snapshot.
        """
        result: T = await self._enqueue(self._reads, job, _alone)
        return result

    def check_open(self) -> None:
        """Raise `ServiceUnavailable` unless the engine is open."""
        if self._loop is None:
            raise ServiceUnavailable(f"{self.path.name} is not open")

    async def _enqueue(self, queue: SimpleQueue[_Job | None], item: Any, handler: Any) -> Any:
        self.check_open()
        assert self._loop is not None
        job = _Job(item, handler, self._loop.create_future())
        queue.put(job)
        self._outstanding += 1
        if self._turn is None:
            self._turn = self._loop.call_later(_PATIENCE, self._give_way)
        try:
            return await job.future
        finally:
            self._outstanding -= 1
            self._answers += 1

    def _give_way(self) -> None:
        """Let the threads have the interpreter, if a busy loop has kept them from answering.

        A loop that always has something to do gives up the interpreter's lock often, but takes
        it back before a thread has woken up; threads have been seen to starve for seconds.
        """
        self._turn = None
        if self._outstanding and self._loop is not None:
            if self._answers == self._answers_before:
                time.sleep(_TURN)
            self._answers_before = self._answers
            self._turn = self._loop.call_later(_PATIENCE, self._give_way)

    # Threads

    def _open(self, loop: asyncio.AbstractEventLoop) -> None:
        connections = self._connect()
        self._loop = loop
        for number, connection in enumerate(connections):
            # As a daemon, because an engine that nobody closed must not keep a process alive.
            thread = threading.Thread(
                target=self._run_reader if number else self._run_writer,
                args=(loop, connection),
                name=f"{self.path.name}-{number}",
                daemon=True,
            )
            self._threads.append(thread)
            thread.start()

    def _join(self, threads: Sequence[threading.Thread]) -> None:
        for thread in threads:
            thread.join()
        self._lock.release()

    def _run_writer(self, loop: asyncio.AbstractEventLoop, connection: sqlite3.Connection) -> None:
        closing = False
        while not closing:
            batch, closing = self._take_waiting()
            if batch:
                _settle(loop, batch, _transact(connection, _groups(batch)))
        _close(connection)

    def _take_waiting(self) -> tuple[list[_Job], bool]:
        """Wait for a job; it and all that wait by now, and whether they are the last."""
        batch: list[_Job] = []
        entry = self._writes.get()
        while entry is not None:
            batch.append(entry)
            if len(batch) == JOBS_PER_TRANSACTION:
                return batch, False
            try:
                entry = self._writes.get_nowait()
            except Empty:
                return batch, False
        return batch, True

    def _run_reader(self, loop: asyncio.AbstractEventLoop, connection: sqlite3.Connection) -> None:
        while (job := self._reads.get()) is not None:
            outcome: Any
            try:
                outcome = job.item(connection)
            except Exception as error:
                outcome = _Failure(_as_unavailable(error))
            if connection.in_transaction:
                connection.rollback()
            _settle(loop, [job], [outcome])
            # A cursor in here would keep its snapshot, and with it the next job in the past.
            del job, outcome
        _close(connection)

    # Opening

    def _connect(self) -> list[sqlite3.Connection]:
        """The writer's connection and the readers'."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StartupError(
                f"the folder {self.path.parent} cannot be made ({error.strerror}); "
                "choose another data directory, or mend what is in its way"
            ) from error
        self._lock.acquire()
        connections: list[sqlite3.Connection] = []
        try:
            connections.append(self._open_writer())
            connections.extend(self._open_reader() for _ in range(self._readers))
        except BaseException as error:
            for connection in connections:
                _close(connection)
            self._lock.release()
            if isinstance(error, sqlite3.Error):
                raise StartupError(_why_unusable(self.path, error)) from error
            raise
        return connections

    def _open_writer(self) -> sqlite3.Connection:
        connection = self._open_connection()
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
            _close(connection)
            raise
        return connection

    def _check_format(self, connection: sqlite3.Connection) -> None:
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if found > self._format:
            raise StartupError(
                f"{self.path} was written by a newer version (format {found}, known up to "
                f"{self._format}); upgrade, or give this one a data directory of its own"
            )

    def _open_reader(self) -> sqlite3.Connection:
        connection = self._open_connection()
        connection.execute("PRAGMA query_only = ON")
        return connection

    def _open_connection(self) -> sqlite3.Connection:
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


class _Job:
    """Something to do, how, and who waits for it."""

    __slots__ = ("future", "handler", "item")

    def __init__(self, item: Any, handler: Handler[Any, Any], future: asyncio.Future[Any]) -> None:
        self.item = item
        self.handler = handler
        self.future = future


class _Failure:
    """The outcome of a job that raised."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


def _alone(connection: sqlite3.Connection, jobs: Sequence[Callable[..., Any]]) -> list[Any]:
    return [job(connection) for job in jobs]


def _transact(connection: sqlite3.Connection, groups: Sequence[Sequence[_Job]]) -> list[Any]:
    """Execute groups of jobs in one transaction; the outcome of each job."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        if len(groups) == 1:  # nobody else's work needs a savepoint: two steps less
            outcomes = _run(connection, groups[0])
        else:
            outcomes = [outcome for group in groups for outcome in _try(connection, group)]
        connection.execute("COMMIT")
    except Exception as error:
        with contextlib.suppress(sqlite3.Error):
            connection.rollback()
        jobs = [job for group in groups for job in group]
        if len(groups) == 1 and len(jobs) > 1 and not _is_storage_failure(error):
            return _transact(connection, [[job] for job in jobs])
        return [_Failure(_as_unavailable(error)) for _ in jobs]
    return outcomes


def _groups(batch: Sequence[_Job]) -> list[list[_Job]]:
    """What can be handed over in one call: runs of jobs with one handler."""
    groups: list[list[_Job]] = []
    for handler, jobs in itertools.groupby(batch, key=lambda job: job.handler):
        if handler is _alone:
            groups.extend([job] for job in jobs)
        else:
            groups.append(list(jobs))
    return groups


def _try(connection: sqlite3.Connection, group: Sequence[_Job]) -> list[Any]:
    """Execute a group, undoing it alone where it fails. A failure of the storage is raised."""
    connection.execute("SAVEPOINT job")
    try:
        outcomes = _run(connection, group)
        connection.execute("RELEASE job")
    except Exception as error:
        # Some failures make SQLite itself give up the whole transaction.
        if _is_storage_failure(error) or not connection.in_transaction:
            raise
        connection.execute("ROLLBACK TO job")
        connection.execute("RELEASE job")
        if len(group) == 1:
            return [_Failure(error)]
        return [outcome for job in group for outcome in _try(connection, [job])]
    return outcomes


def _run(connection: sqlite3.Connection, group: Sequence[_Job]) -> list[Any]:
    outcomes = list(group[0].handler(connection, [job.item for job in group]))
    assert len(outcomes) == len(group), "a handler returns one result per item"
    return outcomes


def _settle(
    loop: asyncio.AbstractEventLoop, batch: Sequence[_Job], outcomes: Sequence[Any]
) -> None:
    """Wake up everybody who waits, with one call into the event loop."""
    # A loop that was closed under us has nobody left who waits.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(_resolve, batch, outcomes)


def _resolve(batch: Sequence[_Job], outcomes: Sequence[Any]) -> None:
    for job, outcome in zip(batch, outcomes, strict=True):
        if job.future.done():
            continue
        if isinstance(outcome, _Failure):
            job.future.set_exception(outcome.error)
        else:
            job.future.set_result(outcome)


def _close(connection: sqlite3.Connection) -> None:
    # Closing copies the log into the file; where that fails, the next start does it.
    with contextlib.suppress(sqlite3.Error):
        connection.close()


def _is_storage_failure(error: BaseException) -> bool:
    return (
        isinstance(error, sqlite3.Error)
        and (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _STORAGE_FAILURES
    )


def _as_unavailable(error: Exception) -> Exception:
    """What the callers see: the storage's failures in our own terms, others as they are."""
    if not _is_storage_failure(error):
        return error
    unavailable = ServiceUnavailable(f"the storage does not answer: {error}")
    unavailable.__cause__ = error
    return unavailable


def _why_unusable(path: Path, error: sqlite3.Error) -> str:
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT:
            mend = "the file is damaged or no SQLite file: restore a backup, or move it away"
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            mend = "make the file and its folder writable for this user"
        case sqlite3.SQLITE_CANTOPEN:
            mend = "check that the path is a file in a folder that this user can write to"
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            mend = "another program has the file locked; stop it"
        case sqlite3.SQLITE_FULL:
            mend = "make room on the disk"
        case _:
            mend = "check the disk and the file"
    return f"{path} cannot be used ({error}); {mend}"
