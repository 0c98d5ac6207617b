"""A SQLite file as an asyncio service: one writer with group commit, a few readers.

All waiting writes are executed in one transaction and made durable by one fsync, so that many
concurrent writers cost little. Every job has its own savepoint, so that a failing job does not
affect the others.

SQLite releases the interpreter's lock at every step of a statement. With a busy event loop it then
waits for `sys.getswitchinterval()` (5 ms) or longer to get the lock back. So the time of a job
depends on **how many steps** it takes, not on how much a statement does: select one row that
contains everything, insert many rows with one statement, and write waiting items together
(`SqliteEngine.write_together`).
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar

from nexxus.errors import ServiceUnavailable
from nexxus.toolkit.sqlite_file import SqliteFile, Synchronous, as_unavailable, close_connection
from nexxus.toolkit.sqlite_transactions import FailedJob, Handler, Job, alone, transact

T = TypeVar("T")
Item = TypeVar("Item")

JOBS_PER_TRANSACTION: Final = 4096

_PATIENCE: Final = 0.004
_TURN: Final = 0.0002
"""Seconds without an answer after which the loop gives way to the threads, and for how long."""


class SqliteEngine:
    """Runs jobs on the SQLite file at `path`.

    `schema` are statements that may be executed at every start (``CREATE … IF NOT EXISTS``).
    With `synchronous` ``FULL`` a write that returned survives a loss of power, with ``NORMAL``
    the death of the process. `busy_timeout` is in seconds: how long to wait for a foreign
    program that has the file locked. `format` numbers the schema's form, from 1; a file of a later
    one is refused.

    All methods belong to one event loop. A storage that fails (disk full, I/O error, damaged
    file) raises `ServiceUnavailable` from `read` and `write`, with nothing of the job done;
    the next call tries again. Any other exception of a job is raised as it is.
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
        self._file = SqliteFile(
            path,
            synchronous=synchronous,
            schema=schema,
            busy_timeout=busy_timeout,
            format=format,
        )
        self._readers = readers
        # The queues need no bound: their entries are callers that wait for an answer.
        self._writes: SimpleQueue[Job | None] = SimpleQueue()
        self._reads: SimpleQueue[Job | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turn: asyncio.TimerHandle | None = None
        self._outstanding = 0
        self._answers = self._answers_before = 0

    async def open(self) -> None:
        """Open or create the file, and own it until `close`.

        Raises `StartupError`, with what to do, if another engine owns it or it cannot be used.
        """
        await asyncio.to_thread(self._open, asyncio.get_running_loop())

    async def close(self) -> None:
        """Finish the calls under way and release the file. May be called twice."""
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
        result: T = await self._enqueue(self._writes, job, alone)
        return result

    async def write_together(self, handler: Handler[Item, T], item: Item) -> T:
        """Like `write`, but give all items that wait for the same `handler` to it in one call.

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
        result: T = await self._enqueue(self._reads, job, alone)
        return result

    def check_open(self) -> None:
        """Raise `ServiceUnavailable` unless the engine is open."""
        self._require_open()

    def _require_open(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise ServiceUnavailable(f"{self.path.name} is not open")
        return self._loop

    async def _enqueue(self, queue: SimpleQueue[Job | None], item: Any, handler: Any) -> Any:
        loop = self._require_open()
        job = Job(item, handler, loop.create_future())
        queue.put(job)
        self._outstanding += 1
        if self._turn is None:
            self._turn = loop.call_later(_PATIENCE, self._give_way)
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
        writer, readers = self._file.open(readers=self._readers)
        self._loop = loop
        for number, connection in enumerate((writer, *readers)):
            # A daemon, because an engine that was not closed must not keep the process alive.
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
        self._file.release()

    def _run_writer(self, loop: asyncio.AbstractEventLoop, connection: sqlite3.Connection) -> None:
        closing = False
        while not closing:
            batch, closing = self._take_waiting()
            if batch:
                _settle(loop, batch, transact(connection, batch))
        close_connection(connection)

    def _take_waiting(self) -> tuple[list[Job], bool]:
        """Wait for a job; it and all that wait by now, and whether they are the last."""
        batch: list[Job] = []
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
                outcome = FailedJob(as_unavailable(error))
            if connection.in_transaction:
                connection.rollback()
            _settle(loop, [job], [outcome])
            # A cursor in here would keep its snapshot, and with it the next job in the past.
            del job, outcome
        close_connection(connection)


def _settle(loop: asyncio.AbstractEventLoop, batch: Sequence[Job], outcomes: Sequence[Any]) -> None:
    """Wake all waiting callers, with one call into the event loop."""
    # If the loop was closed meanwhile, no caller waits any more.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(_resolve, batch, outcomes)


def _resolve(batch: Sequence[Job], outcomes: Sequence[Any]) -> None:
    for job, outcome in zip(batch, outcomes, strict=True):
        if job.future.done():
            continue
        if isinstance(outcome, FailedJob):
            job.future.set_exception(outcome.error)
        else:
            job.future.set_result(outcome)
