"""Two nodes that take a device for their own: one of them has yet to learn that it has left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from gateway_world import APP, TRANSPORT, Client, World, event, subscription_to
from waiting import eventually

from nexxus.errors import ServiceUnavailable

NewWorld = Callable[..., Any]


class Deafness:
    """While it lasts, the broker takes nothing for a node."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self._mailbox = world.mailbox
        self._send = world.broker.send
        self._is_over = False
        monkeypatch.setattr(world.broker, "send", self._send_or_fail)

    def end(self) -> None:
        self._is_over = True

    async def _send_or_fail(self, mailbox: Any, messages: Any) -> None:
        if mailbox == self._mailbox and not self._is_over:
            raise ServiceUnavailable("the broker is away")
        await self._send(mailbox, messages)


async def subscribed(world: World) -> Client:
    """A device d1 that follows c1 and has received its first event."""
    client = await world.connect("d1")
    await world.subscribe("d1", "c1")
    await world.tell(event(1, created=["c1"]))
    await client.expect("model_created")
    return client


async def lost(world: World, client: Client) -> None:
    client.socket.transport.abort()
    await eventually(lambda: world.gateway.figures.connections == 0)


async def is_served(world: World, client: Client) -> None:
    """The registry says so, and an event arrives."""
    assert await world.servers_of("d1") == {"c1": world.node}
    await world.tell(event(2, updated=["c1"]))
    assert (await client.expect("model_updated"))["model"]["version"] == 2


async def test_a_node_whose_client_went_back_before_it_chose_ends_nothing_of_it(
    new_world: NewWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = await new_world("n1"), await new_world("n2", resume_grace=0.2)
    client = await subscribed(one)
    await lost(one, client)
    abandoned = await two.connect("d1")
    Deafness(two, monkeypatch)
    back = await one.connect("d1")
    await back.send("resume", {"cursor": client.cursor})
    await back.expect("resume")

    # The one whom nobody is at starts anew when its time to resume is over.
    assert await abandoned.closed() == 4003

    assert (await back.expect("resync"))["channels"] == ["c1"]
    await is_served(one, back)
    assert two.gateway.narrowed.devices(APP) == []


async def test_a_node_that_resumes_a_client_which_has_gone_on_hands_it_over(
    new_world: NewWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = await new_world("n1"), await new_world("n2")
    client = await subscribed(one)
    await lost(one, client)
    abandoned = await two.connect("d1")
    deafness = Deafness(two, monkeypatch)
    back = await one.connect("d1")
    await back.send("resume", {"cursor": client.cursor})
    await back.expect("resume")

    await abandoned.send("resume", {"cursor": client.cursor})

    assert await abandoned.closed() == 4003
    assert (await back.expect("resync"))["channels"] == ["c1"]
    await is_served(one, back)
    deafness.end()


async def test_a_client_that_was_replaced_is_told_as_soon_as_the_broker_is_back(
    new_world: NewWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = await new_world("n1"), await new_world("n2")
    first = await two.connect("d1")
    deafness = Deafness(two, monkeypatch)
    await one.connect("d1")
    assert await first.is_quiet()
    deafness.end()
    assert await first.closed() == 4003


async def test_a_subscription_that_was_made_for_the_former_node_comes_to_the_present_one(
    new_world: NewWorld,
) -> None:
    one, _ = await new_world("n1"), await new_world("n2")
    client = await subscribed(one)
    await one.registry.subscriptions.put(subscription_to("d1", "c1"), TRANSPORT, "n2")
    await one.registry.subscriptions.put(subscription_to("d1", "c2"), TRANSPORT, "n2")

    await one.gateway.reconciliation.adopt(APP, "d1", "c2")

    # The page of c2 is read after this; what came to c1 meanwhile went to the other node.
    assert (await client.expect("resync"))["channels"] == ["c1"]
    assert await one.servers_of("d1") == {"c1": "n1", "c2": "n1"}
    await one.tell(event(2, updated=["c2"]))
    await client.expect("model_updated")


async def test_what_another_node_wrote_before_a_device_chose_is_moved_when_it_resumes(
    new_world: NewWorld,
) -> None:
    one, _ = await new_world("n1"), await new_world("n2")
    client = await subscribed(one)
    await lost(one, client)
    back = await one.connect("d1")
    await one.registry.subscriptions.put(subscription_to("d1", "c1"), TRANSPORT, "n2")
    await one.gateway.reconciliation.adopt(APP, "d1")

    await back.send("resume", {"cursor": client.cursor})

    assert (await back.expect("resync"))["channels"] == ["c1"]
    await is_served(one, back)


async def test_a_subscription_that_is_narrowed_by_the_former_node_comes_to_the_present_one(
    new_world: NewWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = await new_world("n1"), await new_world("n2")
    abandoned = await subscribed(two)
    deafness = Deafness(two, monkeypatch)
    client = await one.connect("d1")
    await client.send("resume", {"cursor": abandoned.cursor})
    await client.expect("resync")
    former = subscription_to("d1", "c1")
    route = msgspec.structs.replace(former.route, key="c1#narrowed")
    narrowed = msgspec.structs.replace(former, route=route)

    await two.gateway.narrowed.serve(narrowed)

    assert await abandoned.closed() == 4003
    await client.expect("resync")
    assert await one.servers_of("d1") == {"c1": "n1"}
    await one.tell(event(2, updated=["c1#narrowed"]))
    await client.expect("model_updated")
    deafness.end()
