"""The engine writes waiting items together and isolates failures."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from nexxus.errors import ServiceUnavailable, StartupError
from nexxus.toolkit.sqlite_engine import SqliteEngine

SCHEMA = ["CREATE TABLE IF NOT EXISTS entries (value UNIQUE)"]


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[SqliteEngine]:
    engine = SqliteEngine(tmp_path / "engine.sqlite3", schema=SCHEMA)
    await engine.open()
    yield engine
    await engine.close()


def add(connection: sqlite3.Connection, values: Sequence[int]) -> list[int]:
    for value in values:
        connection.execute("INSERT INTO entries VALUES (?)", (value,))
    return [value * 10 for value in values]


def stored(connection: sqlite3.Connection) -> list[int]:
    return [value for (value,) in connection.execute("SELECT value FROM entries ORDER BY value")]


class Gate:
    """A job that keeps the writer busy, so that later items wait together."""

    def __init__(self) -> None:
        self._opened = threading.Event()

    def job(self, connection: sqlite3.Connection) -> None:
        assert self._opened.wait(10)

    def open(self) -> None:
        self._opened.set()


async def test_a_write_returns_its_jobs_result(engine: SqliteEngine) -> None:
    assert await engine.write(lambda connection: add(connection, [1, 2])) == [10, 20]
    assert await engine.read(stored) == [1, 2]


async def test_a_job_that_raises_changes_nothing_and_affects_no_others(
    engine: SqliteEngine,
) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        add(connection, [2])
        raise ValueError("mine")

    gate = Gate()
    waiting = [
        asyncio.ensure_future(engine.write(gate.job)),
        asyncio.ensure_future(engine.write(lambda connection: add(connection, [1]))),
        asyncio.ensure_future(engine.write(fail)),
        asyncio.ensure_future(engine.write(lambda connection: add(connection, [3]))),
    ]
    await asyncio.sleep(0)  # lets each of them be queued
    gate.open()
    _, first, failed, last = await asyncio.gather(*waiting, return_exceptions=True)
    assert (first, last) == ([10], [30])
    assert isinstance(failed, ValueError)
    assert await engine.read(stored) == [1, 3]


async def test_waiting_items_of_a_handler_are_passed_in_one_call(engine: SqliteEngine) -> None:
    calls: list[list[int]] = []

    def handler(connection: sqlite3.Connection, values: Sequence[int]) -> list[int]:
        calls.append(list(values))
        return add(connection, values)

    gate = Gate()
    waiting = [asyncio.ensure_future(engine.write(gate.job))]
    waiting += [asyncio.ensure_future(engine.write_together(handler, n)) for n in range(5)]
    await asyncio.sleep(0)  # lets each of them be queued
    gate.open()
    assert (await asyncio.gather(*waiting))[1:] == [0, 10, 20, 30, 40]
    assert [value for call in calls for value in call] == [0, 1, 2, 3, 4]
    assert len(calls) <= 2  # the writer may have taken the gate alone


async def test_only_the_bad_items_of_a_batch_fail(engine: SqliteEngine) -> None:
    async with asyncio.timeout(10):
        outcomes = await asyncio.gather(
            *(engine.write_together(add, value) for value in (1, 2, 2, 3)), return_exceptions=True
        )
    assert [outcomes[n] for n in (0, 1, 3)] == [10, 20, 30]
    assert isinstance(outcomes[2], sqlite3.IntegrityError)
    assert await engine.read(stored) == [1, 2, 3]


async def test_a_cancelled_caller_affects_no_others(engine: SqliteEngine) -> None:
    gate = Gate()
    first = asyncio.ensure_future(engine.write(gate.job))
    cancelled = asyncio.ensure_future(engine.write(lambda connection: add(connection, [1])))
    last = asyncio.ensure_future(engine.write(lambda connection: add(connection, [2])))
    await asyncio.sleep(0)  # lets each of them be queued
    cancelled.cancel()
    gate.open()
    await asyncio.gather(first, last)
    assert await engine.read(stored) == [1, 2]


async def test_closing_finishes_pending_writes(engine: SqliteEngine) -> None:
    writes = [asyncio.ensure_future(engine.write_together(add, value)) for value in range(100)]
    await asyncio.sleep(0)  # lets each of them be queued
    await engine.close()
    await asyncio.gather(*writes)
    with pytest.raises(ServiceUnavailable):
        await engine.read(stored)
    await engine.open()
    assert await engine.read(stored) == list(range(100))


async def test_a_full_file_refuses_writes_until_there_is_room(
    engine: SqliteEngine,
) -> None:
    async def limit_pages(count: int) -> None:
        await engine.write(lambda c: c.execute(f"PRAGMA max_page_count = {count}").fetchone())

    await engine.write(lambda connection: add(connection, [1]))
    await limit_pages(1)  # SQLite takes the present size for the least
    big = "x" * 1_000_000
    with pytest.raises(ServiceUnavailable, match="full"):
        await engine.write(lambda c: c.execute("INSERT INTO entries VALUES (?)", (big,)).rowcount)
    assert await engine.read(stored) == [1]
    await limit_pages(100_000)
    await engine.write(lambda c: c.execute("INSERT INTO entries VALUES (?)", (big,)).rowcount)
    assert await engine.read(stored) == [1, big]


async def test_a_file_locked_by_another_process_is_unavailable_meanwhile(
    tmp_path: Path,
) -> None:
    engine = SqliteEngine(tmp_path / "engine.sqlite3", schema=SCHEMA, busy_timeout=0.01)
    await engine.open()
    foreign = sqlite3.connect(engine.path, isolation_level=None)
    foreign.execute("BEGIN IMMEDIATE")
    with pytest.raises(ServiceUnavailable, match="locked"):
        await engine.write(lambda connection: add(connection, [1]))
    foreign.execute("ROLLBACK")
    foreign.close()
    await engine.write(lambda connection: add(connection, [2]))
    assert await engine.read(stored) == [2]
    await engine.close()


async def test_readers_cannot_write(engine: SqliteEngine) -> None:
    with pytest.raises((sqlite3.OperationalError, ServiceUnavailable)):
        await engine.read(lambda connection: add(connection, [1]))
    assert await engine.read(stored) == []


async def test_a_second_engine_on_the_file_is_refused_until_the_first_is_closed(
    engine: SqliteEngine,
) -> None:
    second = SqliteEngine(engine.path, schema=SCHEMA)
    with pytest.raises(StartupError, match="in use by another process"):
        await second.open()
    await engine.close()
    await second.open()
    await second.close()


async def test_a_file_of_a_newer_format_is_refused(engine: SqliteEngine) -> None:
    await engine.close()
    newer = SqliteEngine(engine.path, schema=SCHEMA, format=2)
    await newer.open()
    await newer.close()
    with pytest.raises(StartupError, match="newer version"):
        await engine.open()


async def test_a_handler_that_omits_an_item_fails_and_stores_nothing(
    engine: SqliteEngine,
) -> None:
    def forgetful(connection: sqlite3.Connection, numbers: Sequence[int]) -> list[None]:
        add(connection, numbers)
        return []

    with pytest.raises(TypeError, match="one result per item"):
        await engine.write_together(forgetful, 1)
    assert await engine.read(stored) == []
