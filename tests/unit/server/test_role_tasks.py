"""Role tasks run until they are stopped, and end in time."""

from __future__ import annotations

import asyncio

import pytest
from waiting import PATIENCE

from nexxus.server.role_tasks import RoleTasks
from nexxus.testing.journal import Journal


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def running(journal: Journal) -> RoleTasks:
    return RoleTasks(journal)


async def for_ever() -> None:
    await asyncio.Event().wait()


async def stubbornly(times: int) -> None:
    """Ends only after it was cancelled more than the given number of times."""
    for _ in range(times):
        try:
            await for_ever()
        except asyncio.CancelledError:
            continue
    await for_ever()


def told(journal: Journal) -> list[str]:
    return [record.message for record in journal.records]


async def test_a_role_that_ends_unexpectedly_is_a_failure_logged_with_its_reason(
    running: RoleTasks, journal: Journal
) -> None:
    async def fail() -> None:
        raise ValueError("no more")

    running.start("writer", fail())
    async with asyncio.timeout(PATIENCE):
        await running.failed()

    (record,) = journal.records
    assert (record.message, record.fields["role"]) == ("a role has ended", "nexxus writer")
    assert str(record.error) == "no more"
    assert not running.is_running("writer")


@pytest.mark.parametrize("how", ["it returns", "it is cancelled"])
async def test_a_role_that_returns_or_is_cancelled_is_a_failure_too(
    running: RoleTasks, how: str
) -> None:
    async def end() -> None:
        if how == "it is cancelled":
            raise asyncio.CancelledError

    running.start("writer", end())

    async with asyncio.timeout(PATIENCE):
        await running.failed()


async def test_a_stopped_role_is_not_a_failure(running: RoleTasks, journal: Journal) -> None:
    running.start("writer", for_ever())
    running.start("membership", for_ever())
    assert running.is_running("writer")

    await running.end("writer", "nobody", within=PATIENCE)

    assert not running.is_running("writer")
    assert running.is_running("membership")
    assert journal.records == []
    await running.end("membership", within=PATIENCE)


async def test_a_role_finishes_work_in_progress(running: RoleTasks, journal: Journal) -> None:
    begun, may_go_on, finished = asyncio.Event(), asyncio.Event(), False

    async def work() -> None:
        nonlocal finished
        begun.set()
        try:
            await for_ever()
        finally:
            await may_go_on.wait()
            finished = True

    running.start("writer", work())
    await begun.wait()
    ending = asyncio.create_task(running.end("writer", within=PATIENCE))
    await asyncio.wait([ending], timeout=0.01)
    assert not ending.done()

    may_go_on.set()
    await ending

    assert finished
    assert journal.records == []


async def test_a_role_that_does_not_end_in_time_is_cancelled_and_named(
    running: RoleTasks, journal: Journal
) -> None:
    running.start("worker mail", stubbornly(1))
    await asyncio.sleep(0)

    await running.end("worker mail", within=0.01)

    assert not running.is_running("worker mail")
    (record,) = journal.records
    assert (record.message, record.fields) == (
        "a role did not end in time",
        {"role": "nexxus worker mail", "fate": "cut off"},
    )


async def test_a_role_that_never_ends_does_not_block_the_stop(
    journal: Journal,
) -> None:
    running = RoleTasks(journal, last_words=0.01)
    running.start("worker mail", stubbornly(2))
    await asyncio.sleep(0)

    async with asyncio.timeout(PATIENCE):
        await running.end("worker mail", within=0.01)
    assert running.is_running("worker mail")
    assert [record.fields["fate"] for record in journal.records] == ["cut off", "left behind"]

    await running.end("worker mail", within=PATIENCE)
    assert not running.is_running("worker mail")


async def test_a_failure_at_the_end_of_a_role_is_logged(
    running: RoleTasks, journal: Journal
) -> None:
    async def fail_at_the_end() -> None:
        try:
            await for_ever()
        finally:
            raise ValueError("cannot close")

    running.start("worker mail", fail_at_the_end())
    await asyncio.sleep(0)

    await running.end("worker mail", within=PATIENCE)

    assert told(journal) == ["a role did not end well"]
    assert str(journal.records[0].error) == "cannot close"


async def test_a_role_that_has_ended_may_be_started_again(
    running: RoleTasks, journal: Journal
) -> None:
    running.start("writer", for_ever())
    await running.end("writer", within=PATIENCE)

    async def fail() -> None:
        raise ValueError("no more")

    running.start("writer", fail())

    async with asyncio.timeout(PATIENCE):
        await running.failed()
