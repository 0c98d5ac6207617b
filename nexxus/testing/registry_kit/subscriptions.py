"""Subscriptions, and the routes that they add up to."""

from __future__ import annotations

import asyncio

from nexxus.interfaces.registry import Placement, Registry
from nexxus.testing.registry_kit.materials import (
    TRANSPORT,
    AnyRegistry,
    nodes_by_key,
    route_to,
    subscription_to,
)


class SubscriptionsConformance(AnyRegistry):
    """What a device follows."""

    async def test_subscriptions_come_as_and_in_the_order_they_were_made(
        self, registry: Registry, app: str
    ) -> None:
        former = route_to(app, name="c", audience="old")
        subscriptions = [
            subscription_to(route_to(app, name="b"), "d1"),
            subscription_to(route_to(app, model="user-note", name="a"), "d1"),
            subscription_to(route_to(app, name="c", audience="new"), "d1", former),
        ]
        for subscription in subscriptions:
            await registry.subscriptions.put(subscription, TRANSPORT, "n1")
        assert await registry.subscriptions.of_device(app, "d1") == subscriptions
        assert await registry.subscriptions.of_device(app, "d2") == []

    async def test_subscribing_again_replaces_and_keeps_the_place(
        self, registry: Registry, app: str
    ) -> None:
        other = subscription_to(route_to(app, name="b"), "d1")
        before = subscription_to(route_to(app, name="a", audience="one"), "d1")
        after = subscription_to(route_to(app, name="a", audience="two"), "d1")
        for subscription in (before, other, after):
            await registry.subscriptions.put(subscription, TRANSPORT, "n1")
        assert await registry.subscriptions.of_device(app, "d1") == [after, other]
        assert set(nodes_by_key(await registry.subscriptions.routes(app, "task", 0))) == {
            after.route.key,
            other.route.key,
        }

    async def test_unsubscribing_removes_what_is_named(self, registry: Registry, app: str) -> None:
        one = subscription_to(route_to(app, name="a"), "d1")
        two = subscription_to(route_to(app, name="b"), "d1")
        for subscription in (one, two):
            await registry.subscriptions.put(subscription, TRANSPORT, "n1")
        await registry.subscriptions.remove(app, "d1", [one.channel_id, "unknown"])
        await registry.subscriptions.remove(app, "unknown", [two.channel_id])
        assert await registry.subscriptions.of_device(app, "d1") == [two]
        await registry.subscriptions.remove(app, "d1", [two.channel_id])
        assert await registry.subscriptions.of_device(app, "d1") == []

    async def test_a_subscription_moves_to_the_node_that_serves_it_last(
        self, registry: Registry, app: str
    ) -> None:
        subscription = subscription_to(route_to(app), "d1")
        for node in ("n1", "n2"):
            await registry.subscriptions.put(subscription, TRANSPORT, node)
            placed = Placement(subscription, (TRANSPORT, node))
            assert await registry.subscriptions.placements(app, "d1") == [placed]
        assert await registry.subscriptions.placements(app, "nobody") == []

    async def test_a_node_ends_only_what_it_serves(self, registry: Registry, app: str) -> None:
        subscription = subscription_to(route_to(app), "d1")
        await registry.subscriptions.put(subscription, TRANSPORT, "n2")
        channels = [subscription.channel_id]
        await registry.subscriptions.remove(app, "d1", channels, served_by=(TRANSPORT, "n1"))
        await registry.subscriptions.remove(app, "d1", channels, served_by=("another", "n2"))
        assert await registry.subscriptions.of_device(app, "d1") == [subscription]
        await registry.subscriptions.remove(app, "d1", channels, served_by=(TRANSPORT, "n2"))
        assert await registry.subscriptions.of_device(app, "d1") == []


class RoutesConformance(AnyRegistry):
    """What transport managers learn of it."""

    async def test_a_model_without_routes_has_version_0(self, registry: Registry, app: str) -> None:
        assert await registry.subscriptions.routes_version(app, "task") == 0
        changes = await registry.subscriptions.routes(app, "task", 0)
        assert (changes.version, changes.complete, changes.states) == (0, True, [])

    async def test_a_first_subscriber_makes_a_route_and_the_last_ends_it(
        self, registry: Registry, app: str
    ) -> None:
        route = route_to(app)
        for device_id in ("d1", "d2"):
            await registry.subscriptions.put(subscription_to(route, device_id), TRANSPORT, "n1")
        there = await registry.subscriptions.routes(app, "task", 0)
        assert nodes_by_key(there) == {route.key: {(TRANSPORT, "n1")}}
        assert [state.route for state in there.states] == [route]
        channel = subscription_to(route, "d1").channel_id
        await registry.subscriptions.remove(app, "d1", [channel])
        assert await registry.subscriptions.routes_version(app, "task") == there.version
        await registry.subscriptions.remove(app, "d2", [channel])
        gone = await registry.subscriptions.routes(app, "task", there.version)
        assert gone.version > there.version
        assert nodes_by_key(gone) == ({} if gone.complete else {route.key: set()})
        assert nodes_by_key(await registry.subscriptions.routes(app, "task", 0)) == {}

    async def test_a_further_subscriber_on_a_node_changes_no_version(
        self, registry: Registry, app: str
    ) -> None:
        await registry.subscriptions.put(subscription_to(route_to(app), "d1"), TRANSPORT, "n1")
        version = await registry.subscriptions.routes_version(app, "task")
        assert version > 0
        await registry.subscriptions.put(subscription_to(route_to(app), "d2"), TRANSPORT, "n1")
        await registry.subscriptions.put(subscription_to(route_to(app), "d2"), TRANSPORT, "n1")
        assert await registry.subscriptions.routes_version(app, "task") == version

    async def test_subscribing_twice_counts_once(self, registry: Registry, app: str) -> None:
        subscription = subscription_to(route_to(app), "d1")
        await registry.subscriptions.put(subscription, TRANSPORT, "n1")
        await registry.subscriptions.put(subscription, TRANSPORT, "n1")
        await registry.subscriptions.remove(app, "d1", [subscription.channel_id])
        assert nodes_by_key(await registry.subscriptions.routes(app, "task", 0)) == {}

    async def test_a_further_node_or_transport_changes_the_version(
        self, registry: Registry, app: str
    ) -> None:
        places = [(TRANSPORT, "n1"), (TRANSPORT, "n2"), ("sse", "n1")]
        version = 0
        for number, (transport, node) in enumerate(places, 1):
            subscription = subscription_to(route_to(app), f"d{number}")
            await registry.subscriptions.put(subscription, transport, node)
            changes = await registry.subscriptions.routes(app, "task", version)
            assert changes.version > version
            assert nodes_by_key(changes) == {route_to(app).key: set(places[:number])}
            version = changes.version

    async def test_a_device_that_subscribes_on_another_node_moves_there(
        self, registry: Registry, app: str
    ) -> None:
        subscription = subscription_to(route_to(app), "d1")
        await registry.subscriptions.put(subscription, TRANSPORT, "n1")
        version = await registry.subscriptions.routes_version(app, "task")
        await registry.subscriptions.put(subscription, TRANSPORT, "n2")
        changes = await registry.subscriptions.routes(app, "task", version)
        assert changes.version > version
        assert nodes_by_key(changes) == {subscription.route.key: {(TRANSPORT, "n2")}}

    async def test_what_is_asked_since_a_version_is_what_changed_after_it(
        self, registry: Registry, app: str
    ) -> None:
        names = ["a", "b", "c", "d"]
        for name in names[:3]:
            subscription = subscription_to(route_to(app, name=name), "d1")
            await registry.subscriptions.put(subscription, TRANSPORT, "n1")
        known = nodes_by_key(await registry.subscriptions.routes(app, "task", 0))
        version = await registry.subscriptions.routes_version(app, "task")
        await registry.subscriptions.remove(app, "d1", [route_to(app, name="b").key])
        for name, node in (("d", "n1"), ("a", "n2")):
            subscription = subscription_to(route_to(app, name=name), "d2")
            await registry.subscriptions.put(subscription, TRANSPORT, node)
        changes = await registry.subscriptions.routes(app, "task", version)
        told = nodes_by_key(changes)
        merged = told if changes.complete else known | told
        assert {key: nodes for key, nodes in merged.items() if nodes} == {
            route_to(app, name="a").key: {(TRANSPORT, "n1"), (TRANSPORT, "n2")},
            route_to(app, name="c").key: {(TRANSPORT, "n1")},
            route_to(app, name="d").key: {(TRANSPORT, "n1")},
        }
        again = await registry.subscriptions.routes(app, "task", changes.version)
        assert again.version == changes.version
        assert again.complete or again.states == []

    async def test_a_route_that_went_and_came_back_is_told_once_and_as_it_is(
        self, registry: Registry, app: str
    ) -> None:
        subscription = subscription_to(route_to(app), "d1")
        await registry.subscriptions.put(subscription, TRANSPORT, "n1")
        version = await registry.subscriptions.routes_version(app, "task")
        for node in ("n2", "n3"):
            await registry.subscriptions.remove(app, "d1", [subscription.channel_id])
            await registry.subscriptions.put(subscription, TRANSPORT, node)
        assert nodes_by_key(await registry.subscriptions.routes(app, "task", version)) == {
            subscription.route.key: {(TRANSPORT, "n3")}
        }

    async def test_a_version_that_was_never_reached_is_answered_with_everything(
        self, registry: Registry, app: str
    ) -> None:
        await registry.subscriptions.put(subscription_to(route_to(app), "d1"), TRANSPORT, "n1")
        version = await registry.subscriptions.routes_version(app, "task")
        changes = await registry.subscriptions.routes(app, "task", version + 1_000)
        assert changes.complete
        assert set(nodes_by_key(changes)) == {route_to(app).key}

    async def test_models_have_versions_of_their_own(self, registry: Registry, app: str) -> None:
        await registry.subscriptions.put(
            subscription_to(route_to(app, "task"), "d1"), TRANSPORT, "n1"
        )
        version = await registry.subscriptions.routes_version(app, "task")
        await registry.subscriptions.put(
            subscription_to(route_to(app, "note"), "d1"), TRANSPORT, "n1"
        )
        assert await registry.subscriptions.routes_version(app, "task") == version
        assert set(nodes_by_key(await registry.subscriptions.routes(app, "note", 0))) == {
            route_to(app, "note").key
        }

    async def test_while_a_subscription_narrows_both_of_its_routes_count(
        self, registry: Registry, app: str
    ) -> None:
        old, new = route_to(app, audience="old"), route_to(app, audience="new")
        await registry.subscriptions.put(subscription_to(old, "d1"), TRANSPORT, "n1")
        await registry.subscriptions.put(subscription_to(new, "d1", old), TRANSPORT, "n1")
        assert set(nodes_by_key(await registry.subscriptions.routes(app, "task", 0))) == {
            old.key,
            new.key,
        }
        await registry.subscriptions.put(subscription_to(new, "d1"), TRANSPORT, "n1")
        assert set(nodes_by_key(await registry.subscriptions.routes(app, "task", 0))) == {new.key}
        await registry.subscriptions.remove(app, "d1", [subscription_to(new, "d1").channel_id])
        assert nodes_by_key(await registry.subscriptions.routes(app, "task", 0)) == {}

    async def test_concurrent_subscribers_leave_nothing_behind(
        self, registry: Registry, app: str
    ) -> None:
        subscriptions = [subscription_to(route_to(app), f"d{number}") for number in range(50)]
        await asyncio.gather(
            *(
                registry.subscriptions.put(each, TRANSPORT, f"n{number % 2}")
                for number, each in enumerate(subscriptions)
            )
        )
        assert nodes_by_key(await registry.subscriptions.routes(app, "task", 0)) == {
            route_to(app).key: {(TRANSPORT, "n0"), (TRANSPORT, "n1")}
        }
        await asyncio.gather(
            *(
                registry.subscriptions.remove(app, each.device_id, [each.channel_id])
                for each in subscriptions
            )
        )
        assert nodes_by_key(await registry.subscriptions.routes(app, "task", 0)) == {}
