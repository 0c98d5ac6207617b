"""The in-process registry: expiry, memory and failures."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nexxus.adapters.in_process.registry import InProcessRegistry
from nexxus.adapters.in_process.registry.expiry import BITE, Expiry
from nexxus.adapters.in_process.registry.registry import FILE_NAME
from nexxus.adapters.in_process.registry.routes import GONE_REMEMBERED
from nexxus.adapters.in_process.settings import InProcessRegistrySettings
from nexxus.domain.operations import Fate
from nexxus.errors import ServiceUnavailable, StartupError
from nexxus.interfaces.registry import Node, Presence
from nexxus.testing.journal import Journal
from nexxus.testing.registry_kit import (
    TRANSPORT,
    applied,
    eventually,
    nodes_by_key,
    route_to,
    session_of,
    subscription_to,
)

DAY = 24 * 3600


class Clock:
    """A clock that the test advances."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def registry(tmp_path: Path, clock: Clock) -> AsyncIterator[InProcessRegistry]:
    registry = InProcessRegistry(
        InProcessRegistrySettings(), data_dir=tmp_path, logger=Journal(), clock=clock
    )
    await registry.open()
    yield registry
    await registry.close()


async def test_a_session_expires(registry: InProcessRegistry, clock: Clock) -> None:
    session = session_of("kit", "d1", expires_at=int(clock.now) + 10)
    await registry.sessions.put(session)
    clock.now += 9
    assert await registry.sessions.get("kit", session.id) == session
    clock.now += 1
    assert await registry.sessions.get("kit", session.id) is None


async def test_a_fate_is_kept_for_a_day(registry: InProcessRegistry, clock: Clock) -> None:
    queued = Fate("kit", "o2", "queued", "user:u1")
    await registry.fates.put([applied("kit", "o1"), queued])
    clock.now += DAY - 1
    assert await registry.fates.get("kit", "o1") == applied("kit", "o1")
    assert await registry.fates.get("kit", "o2") == queued
    clock.now += 1
    assert await registry.fates.get("kit", "o1") is None
    assert await registry.fates.get("kit", "o2") is None


async def test_a_claim_is_kept_for_its_lifetime(registry: InProcessRegistry, clock: Clock) -> None:
    await registry.claims.claim("kit", "scope", "k", b"one", 60)
    clock.now += 59
    assert await registry.claims.claim("kit", "scope", "k", b"two", 60) == b"one"
    clock.now += 1
    assert await registry.claims.claim("kit", "scope", "k", b"two", 60) is None


async def test_a_counter_restarts_with_its_window(
    registry: InProcessRegistry, clock: Clock
) -> None:
    assert await registry.counters.hit("kit", "s", "k", 60) == 1
    clock.now += 59
    assert await registry.counters.hit("kit", "s", "k", 60) == 2
    clock.now += 1
    assert await registry.counters.hit("kit", "s", "k", 60) == 1


async def test_expired_counters_take_no_room(registry: InProcessRegistry, clock: Clock) -> None:
    for number in range(5_000):
        await registry.counters.hit("kit", "s", str(number), 1)
        clock.now += 0.01
    assert (await registry.figures()).counters < 1_500


async def test_a_node_is_alive_for_its_announced_lifetime(
    registry: InProcessRegistry, clock: Clock
) -> None:
    node = Node("n1", ("api",))
    await registry.nodes.announce(node, 10)
    clock.now += 9
    assert await registry.nodes.alive() == [node]
    await registry.nodes.announce(node, 10)
    clock.now += 9
    assert await registry.nodes.sweep() == []
    clock.now += 1
    assert await registry.nodes.alive() == []
    assert await registry.nodes.sweep() == ["n1"]


async def test_only_expired_entries_are_removed_from_the_file(
    registry: InProcessRegistry, clock: Clock
) -> None:
    many = BITE * 2 + 1
    await registry.fates.put([applied("kit", f"o{number}") for number in range(many)])
    await registry.claims.claim("kit", "scope", "short", b"", 60)
    await registry.claims.claim("kit", "scope", "long", b"kept", 3 * DAY)
    await registry.sessions.put(session_of("kit", "d1", expires_at=int(clock.now) + 60))
    await registry.sessions.put(session_of("kit", "d2", expires_at=int(clock.now) + 3 * DAY))
    clock.now += DAY
    await registry.fates.put([applied("kit", "new")])
    assert await registry.clean() == many + 2
    assert await registry.clean() == 0
    assert await registry.fates.get("kit", "new") == applied("kit", "new")
    assert await registry.claims.claim("kit", "scope", "long", b"", 60) == b"kept"
    assert await registry.sessions.get("kit", "session-d2") is not None


async def test_cleaning_runs_automatically(tmp_path: Path, clock: Clock) -> None:
    settings = InProcessRegistrySettings(clean_every=0.01)
    registry = InProcessRegistry(settings, data_dir=tmp_path, logger=Journal(), clock=clock)
    await registry.open()
    await registry.claims.claim("kit", "scope", "k", b"", 60)
    clock.now += 60

    with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME)) as file:

        async def is_clean() -> bool:
            return file.execute("SELECT count(*) FROM claims").fetchone() == (0,)

        await eventually(is_clean)
    await registry.close()


async def test_a_failed_cleaning_is_logged(clock: Clock) -> None:
    class FullDisk:
        async def write(self, job: Any) -> Any:
            raise ServiceUnavailable("the storage does not answer: disk full")

    journal = Journal()
    expiry = Expiry(FullDisk(), clock, 0.01, journal)  # type: ignore[arg-type]
    expiry.start()

    async def is_logged() -> bool:
        return len(journal.records) >= 2  # it tries again

    await eventually(is_logged)
    await expiry.stop()
    assert journal.records[0].message == "expired entries stay for now"
    assert journal.records[0].fields == {"reason": "the storage does not answer: disk full"}


async def test_dropping_a_large_application_removes_everything(registry: InProcessRegistry) -> None:
    many = BITE * 2 + 1
    await registry.fates.put([applied("kit", f"o{number}") for number in range(many)])
    await registry.drop("kit")
    for number in (0, BITE, many - 1):
        assert await registry.fates.get("kit", f"o{number}") is None


async def test_a_cancelled_end_still_ends_the_session(
    registry: InProcessRegistry,
) -> None:
    session = session_of("kit", "d1", expires_at=2_000_000)
    await registry.sessions.put(session)
    ending = asyncio.create_task(registry.sessions.end("kit", session.id))
    await asyncio.sleep(0)
    ending.cancel()
    await asyncio.gather(ending, return_exceptions=True)

    async def has_ended() -> bool:
        return await registry.sessions.get("kit", session.id) is None

    await eventually(has_ended)
    assert await registry.sessions.of_user("kit", "u1") == []


async def test_a_reader_that_missed_too_many_ended_routes_gets_all_routes(
    registry: InProcessRegistry,
) -> None:
    staying = subscription_to(route_to("kit", name="staying"), "d1")
    await registry.subscriptions.put(staying, TRANSPORT, "n1")
    version = await registry.subscriptions.routes_version("kit", "task")
    for number in range(GONE_REMEMBERED + 1):
        subscription = subscription_to(route_to("kit", name=str(number)), "d1")
        await registry.subscriptions.put(subscription, TRANSPORT, "n1")
        await registry.subscriptions.remove("kit", "d1", [subscription.channel_id])
    late = await registry.subscriptions.routes("kit", "task", version)
    assert late.complete
    assert set(nodes_by_key(late)) == {staying.route.key}
    recent = await registry.subscriptions.routes("kit", "task", late.version - 1)
    assert not recent.complete
    assert nodes_by_key(recent) == {route_to("kit", name=str(GONE_REMEMBERED)).key: set()}


async def test_listing_routes_does_not_block_the_event_loop(registry: InProcessRegistry) -> None:
    for number in range(12_000):
        subscription = subscription_to(route_to("kit", name=str(number)), f"d{number}")
        await registry.subscriptions.put(subscription, TRANSPORT, "n1")
    asking = asyncio.create_task(registry.subscriptions.routes("kit", "task", 0))
    await asyncio.sleep(0)
    assert not asking.done()
    await registry.subscriptions.remove("kit", "d11999", [route_to("kit", name="11999").key])
    changes = await asking
    assert nodes_by_key(changes)[route_to("kit", name="11999").key] == set()
    later = await registry.subscriptions.routes("kit", "task", changes.version)
    assert nodes_by_key(later) == {route_to("kit", name="11999").key: set()}


async def test_the_members_of_a_route_share_it(registry: InProcessRegistry) -> None:
    for device_id in ("d1", "d2"):
        await registry.subscriptions.put(
            subscription_to(route_to("kit"), device_id), TRANSPORT, "n1"
        )
    [one] = await registry.subscriptions.of_device("kit", "d1")
    [two] = await registry.subscriptions.of_device("kit", "d2")
    assert one.route is two.route
    assert one.descriptor is two.route.descriptor


async def test_a_connection_that_registers_again_replaces_nothing(
    registry: InProcessRegistry,
) -> None:
    presence = Presence("kit", "d1", "n1", TRANSPORT, "c1")
    assert await registry.presence.connect(presence) is None
    assert await registry.presence.connect(msgspec.structs.replace(presence)) is None


async def test_a_closed_registry_refuses_calls(registry: InProcessRegistry) -> None:
    await registry.close()
    with pytest.raises(ServiceUnavailable):
        await registry.sessions.get("kit", "s1")
    with pytest.raises(ServiceUnavailable):
        await registry.claims.claim("kit", "scope", "k", b"", 60)
    with pytest.raises(ServiceUnavailable):
        await registry.subscriptions.put(subscription_to(route_to("kit"), "d1"), TRANSPORT, "n1")


async def test_an_unusable_data_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    settings = InProcessRegistrySettings()
    with pytest.raises(StartupError, match="file"):
        await InProcessRegistry(settings, data_dir=tmp_path / "file", logger=Journal()).open()
