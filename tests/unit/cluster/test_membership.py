"""A node maintains its own entries in the registry."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from waiting import eventually

from nexxus.adapters.in_process.registry import InProcessRegistry
from nexxus.adapters.in_process.settings import InProcessRegistrySettings
from nexxus.cluster.membership import Membership
from nexxus.errors import InvalidParameters, ServiceUnavailable
from nexxus.interfaces.registry import Node
from nexxus.testing.journal import Journal
from nexxus.toolkit.backoff import Backoff


class Heard(InProcessRegistry):
    """Counts the announcements of nodes."""

    announcements = 0

    def __init__(self, settings: InProcessRegistrySettings, *, data_dir: Path) -> None:
        super().__init__(settings, data_dir=data_dir, logger=Journal())
        self._announce = self.nodes.announce
        self.nodes.announce = self._count  # type: ignore[method-assign]

    async def _count(self, node: Node, lifetime: float) -> bool:
        self.announcements += 1
        return await self._announce(node, lifetime)


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[Heard]:
    """A registry with another node, in addition to the one under test."""
    registry = Heard(InProcessRegistrySettings(), data_dir=tmp_path)
    await registry.open()
    await registry.nodes.announce(Node("n2", ("gateway",)), 60)
    yield registry
    await registry.close()


async def nothing() -> None:
    """Do nothing: there is nothing to restore."""


async def never() -> None:
    """Do nothing: there is nothing to finish."""
    await asyncio.Event().wait()


@asynccontextmanager
async def member_of(
    registry: InProcessRegistry,
    *,
    look: Callable[[], Awaitable[None]] = nothing,
    finish: Callable[[], Awaitable[None]] = never,
    restore: Callable[[], Awaitable[None]] = nothing,
) -> AsyncIterator[tuple[asyncio.Task[None], Journal]]:
    """A running member, which calls `look` and `finish` to follow the applications."""
    applications: Any = SimpleNamespace(look_for_changes=look, refresh=look, finish_changes=finish)
    journal = Journal()
    member = Membership(
        Node("n1", ("gateway",)),
        registry=registry,
        applications=applications,
        restore=restore,
        logger=journal,
        every=0.01,
        finish_again=Backoff(first=0.01, longest=0.1),
    )
    await member.join()
    running = asyncio.create_task(member.run())
    yield running, journal
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_when_another_node_leaves_everything_is_restored_until_that_succeeds(
    registry: Heard,
) -> None:
    restored = looked = 0

    async def restore() -> None:
        nonlocal restored
        restored += 1
        if restored == 1:
            raise ServiceUnavailable("the registry is away")

    async def look() -> None:
        nonlocal looked
        looked += 1

    async with member_of(registry, look=look, restore=restore):
        await eventually(lambda: looked)
        assert restored == 0

        await registry.nodes.retire("n2")

        await eventually(lambda: restored == 2)


async def test_a_node_stays_alive_during_a_long_change_of_an_application(
    registry: Heard,
) -> None:
    began, may_end = asyncio.Event(), asyncio.Event()

    async def look() -> None:
        began.set()
        await may_end.wait()

    async with member_of(registry, look=look):
        await asyncio.wait_for(began.wait(), 10)
        before = registry.announcements
        await eventually(lambda: registry.announcements > before + 3)


PROBLEMS = [
    InvalidParameters("the stored application 'shop' cannot be read: newKey"),
    ServiceUnavailable("the database is away"),
    RuntimeError("nobody thought of this"),
]


def is_told(journal: Journal, problem: Exception) -> bool:
    """Return whether the log has the error."""
    told = [(*record.fields.values(), record.error) for record in journal.records]
    return any(str(problem) == str(each) for fields in told for each in fields)


@pytest.mark.parametrize("problem", PROBLEMS)
async def test_an_application_that_cannot_be_applied_ends_no_node(
    registry: Heard, problem: Exception
) -> None:
    looked = 0

    async def look() -> None:
        nonlocal looked
        looked += 1
        raise problem

    async with member_of(registry, look=look) as (running, journal):
        await eventually(lambda: looked >= 3)
        assert not running.done()
        assert is_told(journal, problem)


@pytest.mark.parametrize("problem", PROBLEMS)
async def test_the_consequences_of_a_change_are_retried_until_they_succeed(
    registry: Heard, problem: Exception
) -> None:
    tried, is_done = 0, asyncio.Event()

    async def finish() -> None:
        nonlocal tried
        tried += 1
        if tried <= 3:
            raise problem
        is_done.set()
        await never()

    async with member_of(registry, finish=finish) as (running, journal):
        await asyncio.wait_for(is_done.wait(), 10)
        assert not running.done()
        assert is_told(journal, problem)
