"""Subscribing by a frame: the node that has the connection serves the subscription itself."""

from __future__ import annotations

from typing import Any

import pytest
from gateway_world import APP, TRANSPORT, Client, World, drop, event
from waiting import eventually

from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.registry import Presence


async def ask(client: Client, event: str, model: str = "c1", ref: str = "1") -> Any:
    """Send the frame; return the reply."""
    await client.send(event, {"model": model}, ref=ref)
    return await client.expect("reply")


async def test_events_reach_the_device_before_the_page_is_read(world: World) -> None:
    client = await world.connect("d1")

    async def write(*_: Any) -> None:
        world.gateway.deliver(event(1, created=["c1"]))

    world.actions.on_perform = write
    await client.send("subscribe", {"model": "c1"}, ref="1")

    assert (await client.expect("model_created"))["model"]["version"] == 1
    reply = await client.expect("reply")
    assert reply == {"status": 200, "data": {"channelId": "c1", "items": []}}
    assert await world.servers_of("d1") == {"c1": world.node}


async def test_unsubscribing_ends_the_events(world: World) -> None:
    client = await world.connect("d1")
    await ask(client, "subscribe", "c1")
    await ask(client, "subscribe", "c2")

    assert await ask(client, "unsubscribe", "c1") == {"status": 200, "data": {"channel": "c1"}}

    await world.tell(event(1, created=["c1"]))
    await world.tell(event(2, created=["c1", "c2"]))
    assert (await client.expect("model_created"))["metadata"]["channels"] == ["c2"]
    assert await world.channels_of("d1") == ["c2"]
    assert (await ask(client, "unsubscribe", "c1"))["error"]["error"] == "NotFoundException"


async def test_subscribing_again_is_still_one_subscription(world: World) -> None:
    client = await world.connect("d1")
    await ask(client, "subscribe")
    await ask(client, "subscribe")

    await world.tell(event(1, created=["c1"]))

    await client.expect("model_created")
    assert await client.is_quiet()
    assert await world.channels_of("d1") == ["c1"]


async def test_a_device_that_has_gone_to_another_node_is_not_served_here(world: World) -> None:
    client = await world.connect("d1")
    await world.registry.presence.connect(Presence(APP, "d1", "n2", TRANSPORT, "other"))

    await client.send("subscribe", {"model": "c1"}, ref="1")

    assert await client.closed() == 4003
    await world.tell(event(1, created=["c1"]))
    await eventually(lambda: world.gateway.figures.connections == 0)
    assert await world.channels_of("d1") == ["c1"]  # the other node was notified, and serves it


async def test_a_connection_lost_meanwhile_leaves_no_subscription(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await world.connect("d1")
    put = world.registry.subscriptions.put

    async def lose_connection(*subscription: Any) -> None:
        await drop(world, client)
        await put(*subscription)

    monkeypatch.setattr(world.registry.subscriptions, "put", lose_connection)
    await client.send("subscribe", {"model": "c1"}, ref="1")

    await eventually(lambda: world.gateway.figures.connections == 0)
    again = await world.connect("d1")
    assert (await ask(again, "create"))["status"] == 202
    assert await world.channels_of("d1") == []


async def test_nothing_is_served_while_the_registry_is_away(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await world.connect("d1")

    async def be_away(*_: Any) -> None:
        raise ServiceUnavailable("the registry is away")

    with monkeypatch.context() as away:
        away.setattr(world.registry.subscriptions, "put", be_away)
        assert (await ask(client, "subscribe"))["status"] == 503

    await world.tell(event(1, created=["c1"]))
    assert await client.is_quiet()
    assert (await ask(client, "subscribe", ref="2"))["status"] == 200
