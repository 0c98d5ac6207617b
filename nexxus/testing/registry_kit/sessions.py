"""Devices and their sessions."""

from __future__ import annotations

import asyncio
import time

import msgspec

from nexxus.interfaces.registry import Device, Registry
from nexxus.testing.registry_kit.materials import (
    TRANSPORT,
    AnyRegistry,
    eventually,
    nodes_by_key,
    route_to,
    session_of,
    subscription_to,
)


class DevicesConformance(AnyRegistry):
    """Devices, by id and by user."""

    async def test_a_device_is_found_as_it_was_put(self, registry: Registry, app: str) -> None:
        device = Device("d1", app, "Ana’s phone ✓", "u1", 1_700_000_000)
        await registry.put_device(device)
        assert await registry.get_device(app, "d1") == device
        assert await registry.get_device(app, "d2") is None

    async def test_a_users_devices_come_oldest_first_even_if_changed(
        self, registry: Registry, app: str
    ) -> None:
        for number in (1, 2, 3):
            await registry.put_device(Device(f"d{4 - number}", app, f"device {number}", "u1"))
        await registry.put_device(Device("other", app, "another's", "u2"))
        await registry.put_device(Device("nobody", app, "nobody's"))
        await registry.put_device(Device("d3", app, "renamed", "u1"))
        devices = await registry.devices_of(app, "u1")
        assert [device.name for device in devices] == ["renamed", "device 2", "device 3"]

    async def test_a_device_that_changes_its_user_is_listed_with_the_new_one(
        self, registry: Registry, app: str
    ) -> None:
        await registry.put_device(Device("d1", app, "tablet", "u1"))
        await registry.put_device(Device("d1", app, "tablet", "u2"))
        assert await registry.devices_of(app, "u1") == []
        assert [device.id for device in await registry.devices_of(app, "u2")] == ["d1"]

    async def test_deleted_devices_go_with_their_sessions_and_subscriptions(
        self, registry: Registry, app: str
    ) -> None:
        for device_id in ("d1", "d2"):
            await registry.put_device(Device(device_id, app, "phone", "u1"))
            await registry.put_session(session_of(app, device_id))
            subscription = subscription_to(route_to(app, name=device_id), device_id)
            await registry.subscribe(subscription, TRANSPORT, "n1")
        await registry.delete_devices(app, ["d1", "unknown"])
        assert await registry.get_device(app, "d1") is None
        assert await registry.get_session(app, "session-d1") is None
        assert await registry.subscriptions_of(app, "d1") == []
        assert [device.id for device in await registry.devices_of(app, "u1")] == ["d2"]
        assert [session.id for session in await registry.sessions_of(app, "u1")] == ["session-d2"]
        assert nodes_by_key(await registry.routes(app, "task", 0)) == {
            route_to(app, name="d2").key: {(TRANSPORT, "n1")}
        }


class SessionsConformance(AnyRegistry):
    """Sessions begin, rotate and end."""

    async def test_a_session_is_found_as_it_was_put(self, registry: Registry, app: str) -> None:
        session = session_of(app, "d1")
        assert await registry.put_session(session) is None
        assert await registry.get_session(app, session.id) == session
        assert await registry.get_session(app, "unknown") is None

    async def test_a_session_that_was_missing_is_found_once_it_is_put(
        self, registry: Registry, app: str
    ) -> None:
        session = session_of(app, "d1")
        assert await registry.get_session(app, session.id) is None
        await registry.put_session(session)
        assert await registry.get_session(app, session.id) == session

    async def test_a_new_session_replaces_the_devices_former_one(
        self, registry: Registry, app: str
    ) -> None:
        await registry.put_session(session_of(app, "d1", id="s1"))
        assert await registry.put_session(session_of(app, "d1", id="s2")) == "s1"
        assert await registry.get_session(app, "s1") is None
        assert await registry.get_session(app, "s2") is not None
        assert [session.id for session in await registry.sessions_of(app, "u1")] == ["s2"]

    async def test_of_many_sessions_put_at_once_for_a_device_one_lives(
        self, registry: Registry, app: str
    ) -> None:
        ids = [f"s{number}" for number in range(20)]
        replaced = await asyncio.gather(
            *(registry.put_session(session_of(app, "d1", id=session_id)) for session_id in ids)
        )
        live = {session_id for session_id in ids if await registry.get_session(app, session_id)}
        assert len(live) == 1
        assert sorted(filter(None, replaced)) == sorted(set(ids) - live)

    async def test_an_expired_session_is_never_returned(self, registry: Registry, app: str) -> None:
        expired = session_of(app, "d1", expires_at=int(time.time()) - 1)
        await registry.put_session(expired)
        assert await registry.get_session(app, expired.id) is None
        assert await registry.sessions_of(app, "u1") == []
        assert not await registry.rotate_session(
            msgspec.structs.replace(expired, generation=1), expected_generation=0
        )
        assert await registry.end_session(app, expired.id) is None
        await registry.put_session(session_of(app, "d2", id="old", expires_at=1))
        assert await registry.put_session(session_of(app, "d2", id="new")) is None

    async def test_a_session_rotates_from_the_expected_generation_only(
        self, registry: Registry, app: str
    ) -> None:
        session = session_of(app, "d1")
        await registry.put_session(session)
        rotated = msgspec.structs.replace(
            session, generation=1, refresh_hash="1" * 64, rotated_at=time.time()
        )
        assert await registry.rotate_session(rotated, expected_generation=0)
        assert await registry.get_session(app, session.id) == rotated
        stolen = msgspec.structs.replace(session, generation=1, refresh_hash="f" * 64)
        assert not await registry.rotate_session(stolen, expected_generation=0)
        assert await registry.get_session(app, session.id) == rotated

    async def test_of_concurrent_rotations_one_wins(self, registry: Registry, app: str) -> None:
        session = session_of(app, "d1")
        await registry.put_session(session)
        candidates = [
            msgspec.structs.replace(session, generation=1, refresh_hash=f"{number:064}")
            for number in range(20)
        ]
        won = await asyncio.gather(
            *(registry.rotate_session(each, expected_generation=0) for each in candidates)
        )
        assert won.count(True) == 1
        assert await registry.get_session(app, session.id) == candidates[won.index(True)]

    async def test_an_ended_session_is_gone_at_once_and_cannot_rotate(
        self, registry: Registry, app: str
    ) -> None:
        session = session_of(app, "d1")
        await registry.put_session(session)
        assert await registry.get_session(app, session.id) == session
        assert await registry.end_session(app, session.id) == session
        assert await registry.get_session(app, session.id) is None
        assert await registry.end_session(app, session.id) is None
        assert not await registry.rotate_session(
            msgspec.structs.replace(session, generation=1), expected_generation=0
        )
        assert await registry.get_session(app, session.id) is None
        assert await registry.sessions_of(app, "u1") == []

    async def test_a_session_is_ended_for_one_of_many_who_ask(
        self, registry: Registry, app: str
    ) -> None:
        session = session_of(app, "d1")
        await registry.put_session(session)
        ended = await asyncio.gather(*(registry.end_session(app, session.id) for _ in range(20)))
        assert [each for each in ended if each is not None] == [session]

    async def test_reads_beside_the_end_of_a_session_do_not_revive_it(
        self, registry: Registry, app: str
    ) -> None:
        session = session_of(app, "d1")
        await registry.put_session(session)
        await asyncio.gather(
            *(registry.get_session(app, session.id) for _ in range(20)),
            registry.end_session(app, session.id),
            *(registry.get_session(app, session.id) for _ in range(20)),
        )
        assert await registry.get_session(app, session.id) is None

    async def test_a_cancelled_end_leaves_memory_and_storage_alike(
        self, registry: Registry, app: str
    ) -> None:
        session = session_of(app, "d1")
        await registry.put_session(session)
        ending = asyncio.create_task(registry.end_session(app, session.id))
        await asyncio.sleep(0)
        ending.cancel()
        await asyncio.gather(ending, return_exceptions=True)

        async def are_alike() -> bool:
            listed = await registry.sessions_of(app, "u1")
            found = await registry.get_session(app, session.id)
            return bool(listed) == (found is not None)

        await eventually(are_alike)

    async def test_a_users_sessions_are_listed_without_those_of_others(
        self, registry: Registry, app: str
    ) -> None:
        await registry.put_session(session_of(app, "d1"))
        await registry.put_session(session_of(app, "d2"))
        await registry.put_session(session_of(app, "d3", user_id="u2"))
        await registry.put_session(session_of(app, "d4", user_id=None))
        found = {session.device_id for session in await registry.sessions_of(app, "u1")}
        assert found == {"d1", "d2"}
