"""Persistent devices: who is away, what stays, and who finds out."""

from __future__ import annotations

import asyncio

from nexxus.domain.pushes import RESYNC
from nexxus.interfaces.registry import (
    PARTITIONS,
    Node,
    Placement,
    Presence,
    Registry,
    partition_of,
)
from nexxus.testing.registry_kit.materials import (
    TRANSPORT,
    AnyRegistry,
    away_from,
    eventually,
    has_away,
    new_node,
    nodes_by_key,
    persistent,
    route_to,
    subscription_to,
    take_all,
)


class PersistenceConformance(AnyRegistry):
    """What the subscriptions of a device without a connection are to the routes."""

    async def test_a_persistent_subscription_needs_no_node(
        self, registry: Registry, app: str
    ) -> None:
        route = route_to(app)
        subscription = persistent(route, "d1")
        assert await registry.subscriptions.put_away(subscription, is_new=True)
        assert await registry.subscriptions.placements(app, "d1") == [Placement(subscription)]
        assert await away_from(registry, route) == ["d1"]
        changes = await registry.subscriptions.routes(app, "task", 0)
        assert nodes_by_key(changes) == {route.key: set()}
        assert await has_away(registry, route)

    async def test_a_volatile_device_is_never_away(self, registry: Registry, app: str) -> None:
        route, presence = route_to(app), Presence(app, "d1", "n1", TRANSPORT, "c1")
        await registry.presence.connect(presence)
        await registry.subscriptions.put(subscription_to(route, "d1"), TRANSPORT, "n1")
        await registry.presence.disconnect(presence)
        assert await away_from(registry, route) == []
        assert await has_away(registry, route) is False

    async def test_a_persistent_device_is_away_from_its_disconnection_until_it_connects(
        self, registry: Registry, app: str
    ) -> None:
        route, presence = route_to(app), Presence(app, "d1", "n1", TRANSPORT, "c1")
        await registry.presence.connect(presence)
        await registry.subscriptions.put(persistent(route, "d1"), TRANSPORT, "n1")
        assert await away_from(registry, route) == []
        assert await has_away(registry, route) is False
        version = await registry.subscriptions.routes_version(app, "task")

        await registry.presence.disconnect(presence)
        assert await away_from(registry, route) == ["d1"]
        changes = await registry.subscriptions.routes(app, "task", version)
        assert [(state.nodes, state.has_away) for state in changes.states] == [
            (frozenset({(TRANSPORT, "n1")}), True)
        ]

        await registry.presence.connect(Presence(app, "d1", "n2", TRANSPORT, "c2"))
        assert await away_from(registry, route) == []
        assert await has_away(registry, route) is False

    async def test_a_connection_that_was_replaced_makes_nobody_away(
        self, registry: Registry, app: str
    ) -> None:
        route, former = route_to(app), Presence(app, "d1", "n1", TRANSPORT, "c1")
        await registry.presence.connect(former)
        await registry.subscriptions.put(persistent(route, "d1"), TRANSPORT, "n1")
        await registry.presence.connect(Presence(app, "d1", "n2", TRANSPORT, "c2"))
        await registry.presence.disconnect(former)
        assert await away_from(registry, route) == []

    async def test_connections_that_come_and_go_at_once_leave_what_is_there_in_the_end(
        self, registry: Registry, app: str
    ) -> None:
        route, last = route_to(app), Presence(app, "d1", "n0", TRANSPORT, "last")
        await registry.subscriptions.put_away(persistent(route, "d1"), is_new=True)
        for is_present in (True, False):
            presences = [Presence(app, "d1", f"n{n}", TRANSPORT, "c") for n in range(10)]
            await asyncio.gather(*map(registry.presence.connect, presences))
            await asyncio.gather(
                *map(registry.presence.disconnect, presences),
                *([registry.presence.connect(last)] if is_present else []),
            )
            assert await away_from(registry, route) == ([] if is_present else ["d1"])
            await registry.presence.disconnect(last)

    async def test_a_silent_device_stays_away_when_a_node_serves_it(
        self, registry: Registry, app: str
    ) -> None:
        route = route_to(app)
        await registry.subscriptions.put_away(persistent(route, "d1"), is_new=True)
        await registry.subscriptions.put(persistent(route, "d1"), TRANSPORT, "n1")
        assert await away_from(registry, route) == ["d1"]
        changes = await registry.subscriptions.routes(app, "task", 0)
        assert nodes_by_key(changes) == {route.key: {(TRANSPORT, "n1")}}

    async def test_what_a_node_serves_is_not_put_away(self, registry: Registry, app: str) -> None:
        served, missing = persistent(route_to(app), "d1"), persistent(route_to(app), "d2")
        await registry.subscriptions.put(served, TRANSPORT, "n1")
        assert not await registry.subscriptions.put_away(served, is_new=True)
        assert not await registry.subscriptions.put_away(served, is_new=False)
        assert not await registry.subscriptions.put_away(missing, is_new=False)
        placed = Placement(served, (TRANSPORT, "n1"))
        assert await registry.subscriptions.placements(app, "d1") == [placed]
        assert await registry.subscriptions.placements(app, "d2") == []

    async def test_a_subscription_that_no_node_serves_can_get_another_route(
        self, registry: Registry, app: str
    ) -> None:
        old, new = route_to(app, audience="old"), route_to(app, audience="new")
        await registry.subscriptions.put_away(persistent(old, "d1"), is_new=True)
        assert await registry.subscriptions.put_away(persistent(new, "d1"), is_new=False)
        assert await registry.subscriptions.of_device(app, "d1") == [persistent(new, "d1")]
        assert (await away_from(registry, old), await away_from(registry, new)) == ([], ["d1"])
        assert set(nodes_by_key(await registry.subscriptions.routes(app, "task", 0))) == {new.key}

    async def test_what_ends_with_a_nodes_service_is_what_is_volatile(
        self, registry: Registry, app: str
    ) -> None:
        kept, ended = persistent(route_to(app, name="a"), "d1"), route_to(app, name="b")
        elsewhere = subscription_to(route_to(app, name="c"), "d1")
        await registry.subscriptions.put(kept, TRANSPORT, "n1")
        await registry.subscriptions.put(subscription_to(ended, "d1"), TRANSPORT, "n1")
        await registry.subscriptions.put(elsewhere, TRANSPORT, "n2")
        channels = [each.channel_id for each in await registry.subscriptions.of_device(app, "d1")]

        await registry.subscriptions.release(
            app, "d1", [*channels, "unknown"], served_by=(TRANSPORT, "n1")
        )

        assert await registry.subscriptions.placements(app, "d1") == [
            Placement(kept),
            Placement(elsewhere, (TRANSPORT, "n2")),
        ]
        assert nodes_by_key(await registry.subscriptions.routes(app, "task", 0)) == {
            kept.route.key: set(),
            elsewhere.route.key: {(TRANSPORT, "n2")},
        }

    async def test_a_device_that_becomes_persistent_is_away_if_it_has_no_connection(
        self, registry: Registry, app: str
    ) -> None:
        route = route_to(app)
        await registry.presence.connect(Presence(app, "here", "n1", TRANSPORT, "c1"))
        for device_id in ("here", "gone"):
            await registry.subscriptions.put(subscription_to(route, device_id), TRANSPORT, "n1")
            await registry.subscriptions.set_persistent(app, device_id, True)
            (held,) = await registry.subscriptions.of_device(app, device_id)
            assert held.is_persistent
        assert await away_from(registry, route) == ["gone"]

    async def test_a_device_that_becomes_volatile_keeps_what_a_node_serves(
        self, registry: Registry, app: str
    ) -> None:
        served, unserved = route_to(app, name="a"), route_to(app, name="b")
        await registry.subscriptions.put(persistent(served, "d1"), TRANSPORT, "n1")
        await registry.subscriptions.put_away(persistent(unserved, "d1"), is_new=True)
        await registry.subscriptions.set_persistent(app, "d1", False)
        placed = Placement(subscription_to(served, "d1"), (TRANSPORT, "n1"))
        assert await registry.subscriptions.placements(app, "d1") == [placed]
        assert await away_from(registry, served) == []
        assert await has_away(registry, served) is False
        assert await has_away(registry, unserved) is None

    async def test_a_removed_subscription_leaves_nobody_away(
        self, registry: Registry, app: str
    ) -> None:
        route = route_to(app)
        for device_id in ("d1", "d2", "d3"):
            await registry.subscriptions.put_away(persistent(route, device_id), is_new=True)
        await registry.subscriptions.remove(app, "d1", [route.key])
        await registry.devices.delete(app, ["d2"])
        assert await away_from(registry, route) == ["d3"]
        await registry.subscriptions.remove(app, "d3", [route.key])
        assert nodes_by_key(await registry.subscriptions.routes(app, "task", 0)) == {}

    async def test_a_route_that_was_counted_nowhere_is_known_when_its_device_goes_away(
        self, registry: Registry, app: str
    ) -> None:
        route, presence = route_to(app), Presence(app, "d1", "n1", TRANSPORT, "c1")
        await registry.subscriptions.put_away(persistent(route, "d1"), is_new=True)
        await registry.presence.connect(presence)
        assert await has_away(registry, route) is None
        await registry.presence.disconnect(presence)
        assert await has_away(registry, route) is True

    async def test_away_devices_are_listed_by_partition_and_page_by_page(
        self, registry: Registry, app: str
    ) -> None:
        route = route_to(app)
        device_ids = [f"device-{number}" for number in range(100)]
        for device_id in device_ids:
            await registry.subscriptions.put_away(persistent(route, device_id), is_new=True)
        listed: list[str] = []
        for part in range(PARTITIONS):
            after = ""
            while page := await registry.subscriptions.away(
                app, "task", route.key, part, after=after, limit=3
            ):
                assert page == sorted(page)
                assert {partition_of(device_id) for device_id in page} == {part}
                assert len(page) <= 3
                listed += page
                after = page[-1]
        assert sorted(listed) == sorted(device_ids)

    async def test_a_dead_nodes_persistent_devices_stay_and_get_a_notice(
        self, registry: Registry, app: str
    ) -> None:
        node, route = Node(new_node(), ("gateway",), (TRANSPORT,)), route_to(app)
        await registry.nodes.announce(node, 0.05)
        for device_id in ("d1", "d2"):
            await registry.presence.connect(Presence(app, device_id, node.id, TRANSPORT, "c"))
        await registry.subscriptions.put(persistent(route, "d1"), TRANSPORT, node.id)
        await registry.subscriptions.put(subscription_to(route, "d2"), TRANSPORT, node.id)

        async def is_swept() -> bool:
            return node.id in await registry.nodes.sweep()

        await eventually(is_swept)
        placed = Placement(persistent(route, "d1"))
        assert await registry.subscriptions.placements(app, "d1") == [placed]
        assert await registry.subscriptions.placements(app, "d2") == []
        assert await away_from(registry, route) == ["d1"]
        due = await take_all(registry, app, 1)
        assert [(each.device_id, each.notices) for each in due] == [("d1", (RESYNC,))]

    async def test_persistent_subscriptions_survive_a_restart(
        self, registry: Registry, app: str
    ) -> None:
        route, ended = route_to(app, name="a"), route_to(app, name="b")
        await registry.subscriptions.put_away(persistent(route, "d1"), is_new=True)
        await registry.subscriptions.put_away(persistent(ended, "d1"), is_new=True)
        await registry.subscriptions.remove(app, "d1", [ended.key])
        reopened = await self.reopen(registry)
        try:
            placed = Placement(persistent(route, "d1"))
            assert await reopened.subscriptions.placements(app, "d1") == [placed]
            assert await away_from(reopened, route) == ["d1"]
            assert await has_away(reopened, route)
        finally:
            await reopened.close()
