"""Opening a registry, the nodes that share it, and which of them holds a device."""

from __future__ import annotations

import asyncio

import pytest

from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.registry import Device, Node, Placement, Presence, Registry
from nexxus.testing.registry_kit.materials import (
    TRANSPORT,
    AnyRegistry,
    eventually,
    new_node,
    nodes_by_key,
    route_to,
    subscription_to,
)


class OpeningConformance(AnyRegistry):
    """Opening, closing, asking."""

    async def test_an_open_registry_answers_a_ping(self, registry: Registry) -> None:
        await registry.ping()

    async def test_closing_twice_is_fine_and_a_closed_one_does_not_answer(
        self, registry: Registry
    ) -> None:
        await registry.close()
        await registry.close()
        with pytest.raises(ServiceUnavailable):
            await registry.ping()

    async def test_the_statistics_are_numbers(self, registry: Registry) -> None:
        assert all(
            isinstance(value, (int, float)) for value in (await registry.statistics()).values()
        )


class NodesConformance(AnyRegistry):
    """Nodes live, die and are swept."""

    async def test_a_node_is_alive_after_it_announced_itself(self, registry: Registry) -> None:
        node = Node(new_node(), ("api", "gateway"), (TRANSPORT,))
        await registry.announce(node, 60)
        assert node in await registry.nodes()
        await registry.retire(node.id)
        assert node not in await registry.nodes()

    async def test_an_announcement_replaces_the_one_before(self, registry: Registry) -> None:
        node = Node(new_node(), ("api",))
        await registry.announce(node, 60)
        changed = Node(node.id, ("api", "gateway"), (TRANSPORT,))
        await registry.announce(changed, 60)
        assert [found for found in await registry.nodes() if found.id == node.id] == [changed]
        await registry.retire(node.id)

    async def test_a_node_is_known_from_its_second_announcement_until_it_retires(
        self, registry: Registry
    ) -> None:
        node = Node(new_node(), ("gateway",))
        assert not await registry.announce(node, 60)
        assert await registry.announce(node, 60)
        await registry.retire(node.id)
        assert not await registry.announce(node, 60)
        await registry.retire(node.id)

    async def test_a_node_that_was_swept_and_comes_back_is_told_that_it_was_forgotten(
        self, registry: Registry
    ) -> None:
        node = Node(new_node(), ("gateway",))
        await registry.announce(node, 0.05)

        async def is_swept() -> bool:
            return node.id in await registry.sweep()

        await eventually(is_swept)
        assert not await registry.announce(node, 60)
        assert await registry.announce(node, 60)
        await registry.retire(node.id)

    async def test_a_node_whose_lifetime_ran_out_is_swept_once(
        self, registry: Registry, app: str
    ) -> None:
        node = Node(new_node(), ("gateway",), (TRANSPORT,))
        await registry.announce(node, 0.05)
        await registry.connect(Presence(app, "d1", node.id, TRANSPORT, "c1"))
        await registry.subscribe(subscription_to(route_to(app), "d1"), TRANSPORT, node.id)

        async def is_swept() -> bool:
            return node.id in await registry.sweep()

        await eventually(is_swept)
        assert node not in await registry.nodes()
        assert await registry.presence_of(app, "d1") is None
        assert await registry.subscriptions_of(app, "d1") == []
        assert node.id not in await registry.sweep()

    async def test_a_node_that_lives_is_not_swept(self, registry: Registry) -> None:
        node = Node(new_node(), ("gateway",))
        await registry.announce(node, 60)
        assert node.id not in await registry.sweep()
        assert node in await registry.nodes()
        await registry.retire(node.id)

    async def test_retiring_a_node_removes_what_is_its_own_and_nothing_else(
        self, registry: Registry, app: str
    ) -> None:
        gone, staying = new_node(), new_node()
        for device_id, node in (("d1", gone), ("d2", staying)):
            await registry.connect(Presence(app, device_id, node, TRANSPORT, "c"))
            await registry.subscribe(subscription_to(route_to(app), device_id), TRANSPORT, node)
        version = await registry.routes_version(app, "task")
        await registry.retire(gone)
        assert await registry.presence_of(app, "d1") is None
        assert await registry.presence_of(app, "d2") is not None
        assert await registry.subscriptions_of(app, "d1") == []
        assert len(await registry.subscriptions_of(app, "d2")) == 1
        assert await registry.routes_version(app, "task") > version
        assert nodes_by_key(await registry.routes(app, "task", 0)) == {
            route_to(app).key: {(TRANSPORT, staying)}
        }

    async def test_retiring_an_unknown_node_is_fine(self, registry: Registry) -> None:
        await registry.retire(new_node())


class PresenceConformance(AnyRegistry):
    """One connection holds a device."""

    async def test_a_connected_device_is_present_until_it_disconnects(
        self, registry: Registry, app: str
    ) -> None:
        presence = Presence(app, "d1", "n1", TRANSPORT, "c1")
        assert await registry.presence_of(app, "d1") is None
        assert await registry.connect(presence) is None
        assert await registry.presence_of(app, "d1") == presence
        await registry.disconnect(presence)
        assert await registry.presence_of(app, "d1") is None
        await registry.disconnect(presence)

    async def test_a_device_was_last_seen_when_its_connection_went(
        self, registry: Registry, app: str
    ) -> None:
        presence = Presence(app, "d1", "n1", TRANSPORT, "c1")
        device = Device("d1", app, "É 'quoted'", "u1", last_seen=1)
        await registry.put_device(device)
        await registry.connect(presence)
        await registry.disconnect(Presence(app, "d1", "n1", TRANSPORT, "another"))
        assert await registry.get_device(app, "d1") == device
        await registry.disconnect(presence)
        seen = await registry.get_device(app, "d1")
        assert seen is not None
        assert seen.last_seen is not None
        assert seen.last_seen > 1
        assert seen.name == device.name
        assert await registry.devices_of(app, "u1") == [seen]

    async def test_a_second_connection_replaces_the_first_and_is_told(
        self, registry: Registry, app: str
    ) -> None:
        first = Presence(app, "d1", "n1", TRANSPORT, "c1")
        second = Presence(app, "d1", "n2", TRANSPORT, "c2")
        await registry.connect(first)
        assert await registry.connect(second) == first
        await registry.disconnect(first)
        assert await registry.presence_of(app, "d1") == second

    async def test_of_concurrent_connections_each_replaces_another(
        self, registry: Registry, app: str
    ) -> None:
        presences = [Presence(app, "d1", "n1", TRANSPORT, f"c{number}") for number in range(20)]
        replaced = await asyncio.gather(*map(registry.connect, presences))
        holder = await registry.presence_of(app, "d1")
        former = [presence for presence in replaced if presence is not None]
        assert len(former) == 19
        assert {presence.connection_id for presence in former} == {
            presence.connection_id for presence in presences if presence != holder
        }

    async def test_a_disconnect_leaves_the_subscriptions(
        self, registry: Registry, app: str
    ) -> None:
        presence = Presence(app, "d1", "n1", TRANSPORT, "c1")
        await registry.connect(presence)
        subscription = subscription_to(route_to(app), "d1")
        await registry.subscribe(subscription, TRANSPORT, "n1")
        await registry.disconnect(presence)
        assert await registry.placements_of(app, "d1") == [Placement(subscription, TRANSPORT, "n1")]
