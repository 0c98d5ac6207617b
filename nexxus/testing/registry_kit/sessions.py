"""Sessions."""

from __future__ import annotations

import asyncio
import time

import msgspec

from nexxus.interfaces.registry import Registry
from nexxus.testing.registry_kit.materials import (
    AnyRegistry,
    eventually,
    session_of,
)


class SessionsConformance(AnyRegistry):
    """Sessions begin, rotate and end."""

    async def test_a_session_is_found_as_it_was_put(self, registry: Registry, app: str) -> None:
        session = session_of(app, "d1")
        assert await registry.sessions.put(session) is None
        assert await registry.sessions.get(app, session.id) == session
        assert await registry.sessions.get(app, "unknown") is None

    async def test_a_session_that_was_missing_is_found_once_it_is_put(
        self, registry: Registry, app: str
    ) -> None:
        session = session_of(app, "d1")
        assert await registry.sessions.get(app, session.id) is None
        await registry.sessions.put(session)
        assert await registry.sessions.get(app, session.id) == session

    async def test_a_new_session_replaces_the_devices_former_one(
        self, registry: Registry, app: str
    ) -> None:
        await registry.sessions.put(session_of(app, "d1", id="s1"))
        assert await registry.sessions.put(session_of(app, "d1", id="s2")) == "s1"
        assert await registry.sessions.get(app, "s1") is None
        assert await registry.sessions.get(app, "s2") is not None
        assert [session.id for session in await registry.sessions.of_user(app, "u1")] == ["s2"]

    async def test_a_devices_session_is_found_by_the_device(
        self, registry: Registry, app: str
    ) -> None:
        assert await registry.sessions.of_device(app, "d1") is None
        await registry.sessions.put(session_of(app, "d1", id="s1"))
        latest = session_of(app, "d1", id="s2")
        await registry.sessions.put(latest)
        await registry.sessions.put(session_of(app, "d2", id="old", expires_at=1))
        assert await registry.sessions.of_device(app, "d1") == latest
        assert await registry.sessions.of_device(app, "d2") is None
        await registry.sessions.end(app, "s2")
        assert await registry.sessions.of_device(app, "d1") is None

    async def test_of_many_sessions_put_at_once_for_a_device_one_lives(
        self, registry: Registry, app: str
    ) -> None:
        ids = [f"s{number}" for number in range(20)]
        replaced = await asyncio.gather(
            *(registry.sessions.put(session_of(app, "d1", id=session_id)) for session_id in ids)
        )
        live = {session_id for session_id in ids if await registry.sessions.get(app, session_id)}
        assert len(live) == 1
        assert sorted(filter(None, replaced)) == sorted(set(ids) - live)

    async def test_an_expired_session_is_never_returned(self, registry: Registry, app: str) -> None:
        expired = session_of(app, "d1", expires_at=int(time.time()) - 1)
        await registry.sessions.put(expired)
        assert await registry.sessions.get(app, expired.id) is None
        assert await registry.sessions.of_user(app, "u1") == []
        assert not await registry.sessions.rotate(
            msgspec.structs.replace(expired, generation=1), expected_generation=0
        )
        assert await registry.sessions.end(app, expired.id) is None
        await registry.sessions.put(session_of(app, "d2", id="old", expires_at=1))
        assert await registry.sessions.put(session_of(app, "d2", id="new")) is None

    async def test_a_session_rotates_from_the_expected_generation_only(
        self, registry: Registry, app: str
    ) -> None:
        session = session_of(app, "d1")
        await registry.sessions.put(session)
        rotated = msgspec.structs.replace(
            session, generation=1, refresh_hash="1" * 64, rotated_at=time.time()
        )
        assert await registry.sessions.rotate(rotated, expected_generation=0)
        assert await registry.sessions.get(app, session.id) == rotated
        stolen = msgspec.structs.replace(session, generation=1, refresh_hash="f" * 64)
        assert not await registry.sessions.rotate(stolen, expected_generation=0)
        assert await registry.sessions.get(app, session.id) == rotated

    async def test_of_concurrent_rotations_one_wins(self, registry: Registry, app: str) -> None:
        session = session_of(app, "d1")
        await registry.sessions.put(session)
        candidates = [
            msgspec.structs.replace(session, generation=1, refresh_hash=f"{number:064}")
            for number in range(20)
        ]
        won = await asyncio.gather(
            *(registry.sessions.rotate(each, expected_generation=0) for each in candidates)
        )
        assert won.count(True) == 1
        assert await registry.sessions.get(app, session.id) == candidates[won.index(True)]

    async def test_an_ended_session_is_gone_at_once_and_cannot_rotate(
        self, registry: Registry, app: str
    ) -> None:
        session = session_of(app, "d1")
        await registry.sessions.put(session)
        assert await registry.sessions.get(app, session.id) == session
        assert await registry.sessions.end(app, session.id) == session
        assert await registry.sessions.get(app, session.id) is None
        assert await registry.sessions.end(app, session.id) is None
        assert not await registry.sessions.rotate(
            msgspec.structs.replace(session, generation=1), expected_generation=0
        )
        assert await registry.sessions.get(app, session.id) is None
        assert await registry.sessions.of_user(app, "u1") == []

    async def test_a_session_is_ended_for_one_of_many_who_ask(
        self, registry: Registry, app: str
    ) -> None:
        session = session_of(app, "d1")
        await registry.sessions.put(session)
        ended = await asyncio.gather(*(registry.sessions.end(app, session.id) for _ in range(20)))
        assert [each for each in ended if each is not None] == [session]

    async def test_reads_beside_the_end_of_a_session_do_not_revive_it(
        self, registry: Registry, app: str
    ) -> None:
        session = session_of(app, "d1")
        await registry.sessions.put(session)
        await asyncio.gather(
            *(registry.sessions.get(app, session.id) for _ in range(20)),
            registry.sessions.end(app, session.id),
            *(registry.sessions.get(app, session.id) for _ in range(20)),
        )
        assert await registry.sessions.get(app, session.id) is None

    async def test_a_cancelled_end_leaves_memory_and_storage_alike(
        self, registry: Registry, app: str
    ) -> None:
        session = session_of(app, "d1")
        await registry.sessions.put(session)
        ending = asyncio.create_task(registry.sessions.end(app, session.id))
        await asyncio.sleep(0)
        ending.cancel()
        await asyncio.gather(ending, return_exceptions=True)

        async def are_alike() -> bool:
            listed = await registry.sessions.of_user(app, "u1")
            found = await registry.sessions.get(app, session.id)
            return bool(listed) == (found is not None)

        await eventually(are_alike)

    async def test_a_users_sessions_are_listed_without_those_of_others(
        self, registry: Registry, app: str
    ) -> None:
        await registry.sessions.put(session_of(app, "d1"))
        await registry.sessions.put(session_of(app, "d2"))
        await registry.sessions.put(session_of(app, "d3", user_id="u2"))
        await registry.sessions.put(session_of(app, "d4", user_id=None))
        found = {session.device_id for session in await registry.sessions.of_user(app, "u1")}
        assert found == {"d1", "d2"}
