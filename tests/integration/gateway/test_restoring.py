"""A registry that has forgotten a node is told again, and its devices read anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from gateway_world import APP, TRANSPORT, World, event, subscription_to
from waiting import eventually

from nexxus.interfaces.registry import Node, Presence

NewWorld = Callable[..., Any]


async def forget(world: World) -> None:
    """What a registry that has lost everything knows of the node."""
    await world.registry.nodes.retire(world.node)


async def test_connections_and_subscriptions_are_put_back_and_read_anew(world: World) -> None:
    client = await world.connect("d1")
    for channel in ("c1", "c2"):
        await world.subscribe("d1", channel)
    presence = await world.registry.presence.get(APP, "d1")
    await forget(world)

    await world.gateway.reconciliation.restore()

    assert (await client.expect("resync"))["channels"] == ["c1", "c2"]
    assert await world.registry.presence.get(APP, "d1") == presence
    assert await world.channels_of("d1") == ["c1", "c2"]
    routes = await world.registry.subscriptions.routes(APP, "task", 0)
    assert {state.route.key for state in routes.states} == {"c1", "c2"}
    await world.tell(event(1, created=["c1"]))
    await client.expect("model_created")


async def test_a_device_of_which_nothing_was_forgotten_is_left_in_peace(world: World) -> None:
    client = await world.connect("d1")
    await world.subscribe("d1", "c1")
    await world.gateway.reconciliation.restore()
    assert await client.is_quiet()
    assert await world.channels_of("d1") == ["c1"]


async def test_a_silent_device_gets_its_subscriptions_back_and_resumes_by_a_resync(
    world: World,
) -> None:
    client = await world.connect("d1")
    await world.subscribe("d1", "c1")
    await world.tell(event(1, created=["c1"]))
    await client.expect("model_created")
    client.socket.transport.abort()
    await eventually(lambda: world.gateway.figures.connections == 0)
    await forget(world)

    await world.gateway.reconciliation.restore()

    assert await world.channels_of("d1") == ["c1"]
    back = await world.connect("d1")
    await back.send("resume", {"cursor": client.cursor})
    assert (await back.expect("resync"))["channels"] == ["c1"]


async def test_a_device_that_another_node_holds_by_now_is_not_taken_back(world: World) -> None:
    await world.connect("d1")
    await world.subscribe("d1", "c1")
    await forget(world)
    await world.registry.nodes.announce(Node("n2", ("gateway",)), 60)
    elsewhere = Presence(APP, "d1", "n2", TRANSPORT, "theirs")
    await world.registry.presence.connect(elsewhere)

    await world.gateway.reconciliation.restore()

    assert await world.registry.presence.get(APP, "d1") == elsewhere
    assert await world.channels_of("d1") == []


async def test_a_subscription_that_changed_in_the_registry_is_not_undone(world: World) -> None:
    await world.connect("d1")
    await world.subscribe("d1", "c1")
    former = subscription_to("d1", "c1")
    route = msgspec.structs.replace(former.route, key="c1#narrowed")
    narrowed = msgspec.structs.replace(former, route=route)
    await world.registry.subscriptions.put(narrowed, TRANSPORT, world.node)

    await world.gateway.reconciliation.restore()

    assert await world.registry.subscriptions.of_device(APP, "d1") == [narrowed]


async def test_a_change_before_the_restoration_ends_no_channel(world: World) -> None:
    client = await world.connect("d1")
    await world.subscribe("d1", "c1")
    await forget(world)
    await world.gateway.reconciliation.adopt(APP, "d1")

    await world.gateway.reconciliation.restore()

    assert (await client.expect("resync"))["channels"] == ["c1"]
    assert await world.channels_of("d1") == ["c1"]


async def test_what_a_dead_node_has_left_with_itself_is_served_and_read_anew(world: World) -> None:
    client = await world.connect("d1")
    for channel in ("c1", "c2"):
        await world.subscribe("d1", channel)
    await world.registry.subscriptions.put(subscription_to("d1", "c2"), TRANSPORT, "dead")
    await world.registry.presence.connect(Presence(APP, "d1", "dead", TRANSPORT, "theirs"))

    await world.gateway.reconciliation.restore()

    assert (await client.expect("resync"))["channels"] == ["c2"]
    assert await world.servers_of("d1") == {"c1": world.node, "c2": world.node}
    assert (await world.registry.presence.get(APP, "d1")).node == world.node


async def test_what_a_silent_device_has_on_another_node_stays_there(world: World) -> None:
    client = await world.connect("d1")
    await world.subscribe("d1", "c1")
    client.socket.transport.abort()
    await eventually(lambda: world.gateway.figures.connections == 0)
    await world.registry.subscriptions.put(subscription_to("d1", "c1"), TRANSPORT, "n2")

    await world.gateway.reconciliation.restore()

    assert await world.servers_of("d1") == {"c1": "n2"}
