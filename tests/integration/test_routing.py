"""The transport manager behind a real broker and registry."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from waiting import eventually

from nexxus import Config, Nexxus
from nexxus.cluster.messages import Delivery, gateway_mailbox
from nexxus.domain.channels import Descriptor, Route, Subscription
from nexxus.domain.events import Event
from nexxus.interfaces.broker import EVENTS, Message, Receiver

APP = "app"
TRANSPORT = "websockets"


class Node:
    """A node's mailbox, and what came by it."""

    def __init__(self, nexxus: Nexxus, name: str) -> None:
        self.mailbox = gateway_mailbox(TRANSPORT, name)
        self.name = name
        self._nexxus = nexxus
        self._receiver: Receiver[Any] | None = None

    async def open(self) -> Node:
        self._receiver = await self._nexxus.broker.receive(self.mailbox)
        return self

    async def serve(self, channel: str) -> None:
        descriptor = Descriptor("task")
        subscription = Subscription(
            APP, f"device of {channel}", channel, descriptor, Route(channel, APP, descriptor)
        )
        await self._nexxus.registry.subscriptions.put(subscription, TRANSPORT, self.name)

    async def next(self) -> list[tuple[int | None, list[str], bool]]:
        """What comes next: versions, routing keys, and whether it is late."""
        assert self._receiver is not None
        told = await self._receiver.take(100)
        assert all(isinstance(each, Delivery) for each in told)
        return [(each.version, sorted(each.verdicts), each.is_late) for each in told]


@pytest.fixture
async def nexxus(tmp_path: Path) -> AsyncIterator[Nexxus]:
    document = {"id": APP, "schema": {"task": {"points": {"type": "int"}}}}
    settings = {
        "server": {"data_dir": str(tmp_path)},
        "logger": {"level": "critical"},
        "applications": [document],
    }
    async with Nexxus(Config.from_mapping(settings)) as nexxus:
        yield nexxus


async def write(nexxus: Nexxus, *versions: int) -> None:
    messages = []
    for version in versions:
        after = {"id": "t", "type": "task", "appId": APP, "version": version}
        event = Event("model_created", APP, "task", "t", version, None, after)
        messages.append(Message("t", event))
    await nexxus.broker.publish(EVENTS, messages)


async def is_routed(nexxus: Nexxus, events: int) -> None:
    await eventually(lambda: nexxus.parts.transport_manager.figures.events == events)


async def test_a_node_that_takes_a_channel_over_while_an_event_is_told_is_told_it_too(
    nexxus: Nexxus, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = await Node(nexxus, "one").open(), await Node(nexxus, "two").open()
    await one.serve("c1")
    await one.serve("c2")
    send = nexxus.broker.send

    async def send_and_move(mailbox: Any, messages: Sequence[Any]) -> None:
        await send(mailbox, messages)
        if mailbox == one.mailbox:
            await two.serve("c2")

    monkeypatch.setattr(nexxus.broker, "send", send_and_move)
    await write(nexxus, 1, 2)

    assert await one.next() == [(1, ["c1", "c2"], False), (2, ["c1", "c2"], False)]
    assert await two.next() == [(1, ["c2"], True), (2, ["c2"], True)]
    await write(nexxus, 3)
    assert await two.next() == [(3, ["c2"], False)]
    assert await one.next() == [(3, ["c1"], False)]


async def test_a_channel_hears_only_of_what_is_written_after_it_was_made(nexxus: Nexxus) -> None:
    one = await Node(nexxus, "one").open()
    await write(nexxus, 1)
    await is_routed(nexxus, 1)
    await one.serve("c1")
    await write(nexxus, 2)

    assert await one.next() == [(2, ["c1"], False)]
    await write(nexxus, 3)
    assert await one.next() == [(3, ["c1"], False)], "nothing came in between"
