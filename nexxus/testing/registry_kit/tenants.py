"""Applications side by side, and what survives a restart."""

from __future__ import annotations

from nexxus.interfaces.registry import Device, Presence, Registry
from nexxus.testing.registry_kit.materials import (
    TRANSPORT,
    AnyRegistry,
    applied,
    assert_is_full,
    fill,
    new_app,
    nodes_by_key,
    route_to,
    session_of,
)


class TenantsConformance(AnyRegistry):
    """No application sees another."""

    async def test_the_same_ids_in_two_applications_never_meet(self, registry: Registry) -> None:
        one, other = new_app(), new_app()
        await fill(registry, one)
        assert await registry.devices.get(other, "d1") is None
        assert await registry.devices.of_user(other, "u1") == []
        assert await registry.sessions.get(other, "session-d1") is None
        assert await registry.sessions.of_user(other, "u1") == []
        assert await registry.sessions.end(other, "session-d1") is None
        assert not await registry.sessions.rotate(
            session_of(other, "d1", generation=1), expected_generation=0
        )
        assert await registry.fates.get(other, "o1") is None
        assert await registry.counters.hit(other, "s", "k", 60) == 1
        assert await registry.presence.get(other, "d1") is None
        assert await registry.subscriptions.of_device(other, "d1") == []
        assert await registry.subscriptions.routes_version(other, "task") == 0
        assert await registry.claims.claim(other, "scope", "k", b"mine", 60) is None
        await registry.claims.release(other, "scope", "k")
        await registry.devices.delete(other, ["d1"])
        await registry.subscriptions.remove(other, "d1", [route_to(one).key])
        await registry.presence.disconnect(Presence(other, "d1", "n1", TRANSPORT, "c1"))
        await registry.drop(other)
        await assert_is_full(registry, one)

    async def test_dropping_an_application_leaves_nothing_of_it(self, registry: Registry) -> None:
        dropped, kept = new_app(), new_app()
        await fill(registry, dropped)
        await fill(registry, kept)
        version = await registry.subscriptions.routes_version(dropped, "task")
        await registry.drop(dropped)
        assert await registry.devices.get(dropped, "d1") is None
        assert await registry.devices.of_user(dropped, "u1") == []
        assert await registry.sessions.get(dropped, "session-d1") is None
        assert await registry.sessions.of_user(dropped, "u1") == []
        assert await registry.fates.get(dropped, "o1") is None
        assert await registry.claims.claim(dropped, "scope", "k", b"again", 60) is None
        assert await registry.counters.hit(dropped, "s", "k", 60) == 1
        assert await registry.presence.get(dropped, "d1") is None
        assert await registry.subscriptions.of_device(dropped, "d1") == []
        assert await registry.subscriptions.routes_version(dropped, "task") > version
        assert nodes_by_key(await registry.subscriptions.routes(dropped, "task", 0)) == {}
        await assert_is_full(registry, kept)


class RestartConformance(AnyRegistry):
    """What survives."""

    async def test_devices_sessions_fates_and_claims_survive_a_restart(
        self, registry: Registry, app: str
    ) -> None:
        await fill(registry, app)
        await registry.sessions.put(session_of(app, "d2"))
        await registry.sessions.end(app, "session-d2")
        reopened = await self.reopen(registry)
        try:
            assert await reopened.devices.get(app, "d1") == Device("d1", app, "phone", "u1")
            assert (await reopened.sessions.get(app, "session-d1")) is not None
            assert await reopened.sessions.get(app, "session-d2") is None
            assert await reopened.fates.get(app, "o1") == applied(app, "o1")
            assert await reopened.claims.claim(app, "scope", "k", b"late", 60) == b"value"
        finally:
            await reopened.close()
