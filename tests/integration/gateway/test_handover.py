"""Contract §6: a device that resumes on another node than the one that it has left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from gateway_world import APP, Client, World, delivered, drop, event

from nexxus.cluster.messages import HandoverAsked

pytestmark = pytest.mark.contract("6. WebSocket", "resuming")

NewWorld = Callable[..., Any]


@pytest.fixture
async def nodes(new_world: NewWorld) -> AsyncIterator[tuple[World, World]]:
    """Two nodes that know each other."""
    one, two = await new_world("n1"), await new_world("n2")
    await one.announce()
    await two.announce()
    yield one, two
    for node in (one, two):  # In the end neither waits for the other to take over its devices.
        await node.registry.nodes.retire(node.node)


async def lost(world: World, *channels: str) -> str:
    """A device d1 that saw version 1 in these channels, and lost its connection; its cursor."""
    client = await world.connect("d1")
    for channel in channels:
        await world.subscribe("d1", channel)
    await world.tell(event(1, created=list(channels)))
    await client.expect("model_created")
    await drop(world, client)
    assert client.cursor is not None
    return client.cursor


def late(number: int, **keys: list[str]) -> Any:
    return msgspec.structs.replace(event(number, **keys), is_late=True)


async def resuming(world: World, cursor: str) -> Client:
    client = await world.connect("d1")
    await client.send("resume", {"cursor": cursor})
    return client


async def told(client: Client) -> list[tuple[str, int, list[str]]]:
    """The events until the answer to ``resume``."""
    events = []
    while (frame := await client.next())["event"] != "resume":
        data = frame["data"]
        channels = sorted(data["metadata"]["channels"])
        events.append((frame["event"], data["model"]["version"], channels))
    return events


async def test_what_came_to_the_former_node_comes_from_the_new_one_in_order(
    nodes: tuple[World, World],
) -> None:
    one, two = nodes
    cursor = await lost(one, "c1", "c2")
    await delivered(
        one,
        event(2, updated=["c1", "c2"]),
        event(3, updated=["c1"], left=["c2"]),
        event(4, updated=["nobody's"]),
    )

    client = await resuming(two, cursor)

    assert await told(client) == [
        ("model_updated", 2, ["c1", "c2"]),
        ("model_updated", 3, ["c1"]),
        ("model_deleted", 3, ["c2"]),
    ]
    assert await two.servers_of("d1") == {"c1": "n2", "c2": "n2"}
    await two.tell(event(5, deleted=["c1"]))
    assert (await client.expect("model_deleted"))["model"]["version"] == 5
    assert one.gateway.narrowed.devices(APP) == []
    assert two.gateway.figures.resumed == 1


async def test_one_can_go_on_from_there_and_come_back(nodes: tuple[World, World]) -> None:
    one, two = nodes
    client = await resuming(two, await lost(one, "c1"))
    assert await told(client) == []
    await drop(two, client)
    assert client.cursor is not None
    await delivered(two, event(2, updated=["c1"]))

    same = await resuming(two, client.cursor)
    assert await told(same) == [("model_updated", 2, ["c1"])]
    await drop(two, same)
    await delivered(two, event(3, updated=["c1"]))

    assert same.cursor is not None
    assert await told(await resuming(one, same.cursor)) == [("model_updated", 3, ["c1"])]


async def test_a_device_without_subscriptions_has_missed_nothing(
    nodes: tuple[World, World],
) -> None:
    one, two = nodes
    client = await one.connect("d1")
    await drop(one, client)

    assert client.cursor is not None
    assert await told(await resuming(two, client.cursor)) == []


async def test_a_connection_that_is_half_open_ends_as_replaced(nodes: tuple[World, World]) -> None:
    one, two = nodes
    former = await one.connect("d1")
    await one.subscribe("d1", "c1")
    await one.tell(event(1, created=["c1"]))
    await former.expect("model_created")
    assert former.cursor is not None

    assert await told(await resuming(two, former.cursor)) == []
    assert await former.closed() == 4003


async def test_what_both_nodes_were_told_is_told_once(
    nodes: tuple[World, World], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = nodes
    cursor = await lost(one, "c1", "c2")
    hand_over = one.gateway._handover.hand_over

    async def meanwhile(asked: Any) -> None:
        # The subscriptions are placed with the new node by now, one after the other.
        await delivered(one, event(2, updated=["c1"]), event(3, updated=["c1", "c2"]))
        await delivered(two, late(2, updated=["c1"]), event(4, updated=["c1", "c2"]))
        await hand_over(asked)

    monkeypatch.setattr(one.gateway._handover, "hand_over", meanwhile)
    await delivered(one, event(2, updated=["c2"]))
    client = await resuming(two, cursor)

    assert await told(client) == [
        ("model_updated", 2, ["c1", "c2"]),
        ("model_updated", 3, ["c1", "c2"]),
        ("model_updated", 4, ["c1", "c2"]),
    ]


async def test_a_late_event_is_for_devices_that_came_from_another_node(
    nodes: tuple[World, World],
) -> None:
    one, two = nodes
    other = await two.connect("d2")
    await two.subscribe("d2", "c1")
    cursor = await lost(one, "c1")
    await delivered(one, event(2, updated=["c1"]))
    client = await resuming(two, cursor)
    assert await told(client) == [("model_updated", 2, ["c1"])]

    # A transport manager had told the former node, and finds that the channel has moved.
    await delivered(two, late(2, updated=["c1"]), late(3, updated=["c1"]))

    assert (await client.expect("model_updated"))["model"]["version"] == 3
    assert await client.is_quiet()
    assert await other.is_quiet()


async def test_one_that_has_subscribed_to_more_meanwhile_gets_that_too(
    nodes: tuple[World, World],
) -> None:
    one, two = nodes
    cursor = await lost(one, "c1")
    await delivered(one, event(2, updated=["c1"]))
    client = await two.connect("d1")
    await two.subscribe("d1", "c2")
    await delivered(two, event(3, created=["c2"]))

    await client.send("resume", {"cursor": cursor})

    assert await told(client) == [("model_updated", 2, ["c1"]), ("model_created", 3, ["c2"])]


# When it cannot be done


async def test_a_cursor_that_the_former_node_does_not_know_is_a_resync(
    nodes: tuple[World, World],
) -> None:
    one, two = nodes
    await lost(one, "c1")

    client = await resuming(two, "n1:00000000-1")

    assert (await client.expect("resync"))["channels"] == ["c1"]


async def test_more_than_can_be_handed_over_is_a_resync(new_world: NewWorld) -> None:
    one, two = await new_world("n1", resume_frames=1), await new_world("n2")
    await one.announce()
    cursor = await lost(one, "c1")
    await delivered(one, event(2, updated=["c1"]), event(3, updated=["c1"]))

    assert (await (await resuming(two, cursor)).expect("resync"))["channels"] == ["c1"]


async def test_a_node_that_does_not_answer_is_not_waited_for_long(new_world: NewWorld) -> None:
    one, two = await new_world("n1"), await new_world("n2", handover_timeout=0.05)
    await one.announce()
    cursor = await lost(one, "c1")
    one.gateway._handover.hand_over = _never  # type: ignore[method-assign]

    assert (await (await resuming(two, cursor)).expect("resync"))["channels"] == ["c1"]


async def _never(asked: Any) -> None:
    return


async def test_a_client_that_has_come_back_meanwhile_is_not_handed_over(world: World) -> None:
    cursor = await lost(world, "c1")
    client = await resuming(world, cursor)
    assert await told(client) == []

    await world.tell(HandoverAsked(APP, "d1", cursor, ["c1"]))

    await world.tell(event(2, updated=["c1"]))
    assert (await client.expect("model_updated"))["model"]["version"] == 2


async def test_roles_that_changed_while_it_was_handed_over_are_a_resync(
    nodes: tuple[World, World], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = nodes
    cursor = await lost(one, "c1")
    hand_over = one.gateway._handover.hand_over

    async def meanwhile(asked: Any) -> None:
        two.gateway.narrowed.send_resync(APP, "d1", ["c1"])
        await hand_over(asked)

    monkeypatch.setattr(one.gateway._handover, "hand_over", meanwhile)

    assert (await (await resuming(two, cursor)).expect("resync"))["channels"] == ["c1"]


# A node that stops


async def test_a_node_that_stops_hands_over_what_it_keeps_before_it_goes(
    nodes: tuple[World, World],
) -> None:
    one, two = nodes
    client = await one.connect("d1")
    await one.subscribe("d1", "c1")
    await one.tell(event(1, created=["c1"]))
    await client.expect("model_created")

    draining = asyncio.create_task(one.gateway.drain())
    assert await client.closed() == 1001
    await delivered(one, event(2, updated=["c1"]))
    assert client.cursor is not None

    assert await told(await resuming(two, client.cursor)) == [("model_updated", 2, ["c1"])]
    async with asyncio.timeout(1):
        await draining


async def test_a_node_that_stops_does_not_wait_where_it_is_the_only_one(
    new_world: NewWorld,
) -> None:
    one = await new_world("n1", handover_timeout=60)
    await one.announce()
    await lost(one, "c1")

    async with asyncio.timeout(5):
        await one.gateway.drain()


async def test_a_node_that_stops_waits_only_so_long(new_world: NewWorld) -> None:
    one, two = await new_world("n1", handover_timeout=0.05), await new_world("n2")
    await two.announce()
    await lost(one, "c1")

    async with asyncio.timeout(5):
        await one.gateway.drain()
