"""Devices."""

from __future__ import annotations

from nexxus.interfaces.registry import Device, Registry
from nexxus.testing.registry_kit.materials import (
    TRANSPORT,
    AnyRegistry,
    nodes_by_key,
    route_to,
    session_of,
    subscription_to,
)


class DevicesConformance(AnyRegistry):
    """Devices, by id and by user."""

    async def test_a_device_is_found_as_it_was_put(self, registry: Registry, app: str) -> None:
        device = Device("d1", app, "Ana’s phone ✓", "u1", 1_700_000_000)
        await registry.devices.put(device)
        assert await registry.devices.get(app, "d1") == device
        assert await registry.devices.get(app, "d2") is None

    async def test_a_users_devices_come_oldest_first_even_if_changed(
        self, registry: Registry, app: str
    ) -> None:
        for number in (1, 2, 3):
            await registry.devices.put(Device(f"d{4 - number}", app, f"device {number}", "u1"))
        await registry.devices.put(Device("other", app, "another's", "u2"))
        await registry.devices.put(Device("nobody", app, "nobody's"))
        await registry.devices.put(Device("d3", app, "renamed", "u1"))
        devices = await registry.devices.of_user(app, "u1")
        assert [device.name for device in devices] == ["renamed", "device 2", "device 3"]

    async def test_a_device_that_changes_its_user_is_listed_with_the_new_one(
        self, registry: Registry, app: str
    ) -> None:
        await registry.devices.put(Device("d1", app, "tablet", "u1"))
        await registry.devices.put(Device("d1", app, "tablet", "u2"))
        assert await registry.devices.of_user(app, "u1") == []
        assert [device.id for device in await registry.devices.of_user(app, "u2")] == ["d1"]

    async def test_deleted_devices_go_with_their_sessions_and_subscriptions(
        self, registry: Registry, app: str
    ) -> None:
        for device_id in ("d1", "d2"):
            await registry.devices.put(Device(device_id, app, "phone", "u1"))
            await registry.sessions.put(session_of(app, device_id))
            subscription = subscription_to(route_to(app, name=device_id), device_id)
            await registry.subscriptions.put(subscription, TRANSPORT, "n1")
        await registry.devices.delete(app, ["d1", "unknown"])
        assert await registry.devices.get(app, "d1") is None
        assert await registry.sessions.get(app, "session-d1") is None
        assert await registry.subscriptions.of_device(app, "d1") == []
        assert [device.id for device in await registry.devices.of_user(app, "u1")] == ["d2"]
        assert [session.id for session in await registry.sessions.of_user(app, "u1")] == [
            "session-d2"
        ]
        assert nodes_by_key(await registry.subscriptions.routes(app, "task", 0)) == {
            route_to(app, name="d2").key: {(TRANSPORT, "n1")}
        }
