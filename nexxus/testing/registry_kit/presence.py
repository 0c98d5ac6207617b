"""Which connection holds a device."""

from __future__ import annotations

import asyncio

from nexxus.interfaces.registry import Device, Placement, Presence, Registry
from nexxus.testing.registry_kit.materials import (
    TRANSPORT,
    AnyRegistry,
    route_to,
    subscription_to,
)


class PresenceConformance(AnyRegistry):
    """One connection holds a device."""

    async def test_a_connected_device_is_present_until_it_disconnects(
        self, registry: Registry, app: str
    ) -> None:
        presence = Presence(app, "d1", "n1", TRANSPORT, "c1")
        assert await registry.presence.get(app, "d1") is None
        assert await registry.presence.connect(presence) is None
        assert await registry.presence.get(app, "d1") == presence
        await registry.presence.disconnect(presence)
        assert await registry.presence.get(app, "d1") is None
        await registry.presence.disconnect(presence)

    async def test_a_device_was_last_seen_when_its_connection_went(
        self, registry: Registry, app: str
    ) -> None:
        presence = Presence(app, "d1", "n1", TRANSPORT, "c1")
        device = Device("d1", app, "É 'quoted'", "u1", last_seen=1)
        await registry.devices.put(device)
        await registry.presence.connect(presence)
        await registry.presence.disconnect(Presence(app, "d1", "n1", TRANSPORT, "another"))
        assert await registry.devices.get(app, "d1") == device
        await registry.presence.disconnect(presence)
        seen = await registry.devices.get(app, "d1")
        assert seen is not None
        assert seen.last_seen is not None
        assert seen.last_seen > 1
        assert seen.name == device.name
        assert await registry.devices.of_user(app, "u1") == [seen]

    async def test_a_second_connection_replaces_the_first_and_is_told(
        self, registry: Registry, app: str
    ) -> None:
        first = Presence(app, "d1", "n1", TRANSPORT, "c1")
        second = Presence(app, "d1", "n2", TRANSPORT, "c2")
        await registry.presence.connect(first)
        assert await registry.presence.connect(second) == first
        await registry.presence.disconnect(first)
        assert await registry.presence.get(app, "d1") == second

    async def test_of_concurrent_connections_each_replaces_another(
        self, registry: Registry, app: str
    ) -> None:
        presences = [Presence(app, "d1", "n1", TRANSPORT, f"c{number}") for number in range(20)]
        replaced = await asyncio.gather(*map(registry.presence.connect, presences))
        holder = await registry.presence.get(app, "d1")
        former = [presence for presence in replaced if presence is not None]
        assert len(former) == 19
        assert {presence.connection_id for presence in former} == {
            presence.connection_id for presence in presences if presence != holder
        }

    async def test_a_disconnect_leaves_the_subscriptions(
        self, registry: Registry, app: str
    ) -> None:
        presence = Presence(app, "d1", "n1", TRANSPORT, "c1")
        await registry.presence.connect(presence)
        subscription = subscription_to(route_to(app), "d1")
        await registry.subscriptions.put(subscription, TRANSPORT, "n1")
        await registry.presence.disconnect(presence)
        assert await registry.subscriptions.placements(app, "d1") == [
            Placement(subscription, (TRANSPORT, "n1"))
        ]
