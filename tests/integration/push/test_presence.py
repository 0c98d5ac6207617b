"""Contract §12: who is pushed to, and who is told over a connection."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from frames_wire import Frames
from push_world import APPLICATION, RULE, World, serving
from waiting import eventually

from nexxus.interfaces.push_service import PushMessage

QUIET = {**APPLICATION, "push": {"note": {**RULE, "quiet": 3600}}}


contract = partial(pytest.mark.contract, "12. Push")


class PingedFrames(Frames):
    """A connection whose peer shows signs of life."""

    answers_pings = True


@contract("while it is connected it receives frames and no pushes")
async def test_a_connected_device_is_not_pushed_to(world: World) -> None:
    device, other = await world.device(), await world.device()
    await device.connect()
    await device.subscribe()
    await other.subscribe()
    await world.create(id="n1")
    await eventually(lambda: device.wire.named("model_created"))
    await eventually(lambda: other.pushes)
    assert device.pushes == []


@contract("a persistent device's subscriptions survive disconnects")
async def test_a_device_is_pushed_to_as_soon_as_its_connection_is_lost(world: World) -> None:
    device = await world.device()
    await device.connect()
    await device.subscribe()
    device.drop()
    await eventually(device.is_away)
    await world.create(id="n1")
    (message,) = await eventually(lambda: device.pushes)
    assert message.data["id"] == "n1"


@contract("on connecting it gets resync")
async def test_a_device_that_connects_reads_its_channels_again(world: World) -> None:
    device = await world.device()
    channel = (await device.subscribe())["channelId"]
    await world.create(id="n1")
    await eventually(lambda: device.pushes)
    await device.connect()
    (resync,) = await eventually(lambda: device.wire.named("resync"))
    assert resync["channels"] == [channel]
    await world.create(id="n2")
    (created,) = await eventually(lambda: device.wire.named("model_created"))
    assert created["model"]["id"] == "n2"
    assert len(device.pushes) == 1


@contract("on connecting it gets resync unless it can resume")
async def test_a_device_that_comes_back_in_time_resumes(world: World) -> None:
    device = await world.device()
    await device.connect()
    await device.subscribe()
    await world.create(id="n1")
    (created,) = await eventually(lambda: device.wire.named("model_created"))
    device.drop()
    await eventually(device.is_away)
    await world.create(id="n2")
    await eventually(lambda: device.pushes)
    await device.connect(resume=created["metadata"]["cursor"])
    await eventually(lambda: device.wire.named("resume"))
    assert [each["model"]["id"] for each in device.wire.named("model_created")] == ["n2"]
    assert device.wire.named("resync") == []


async def test_a_subscription_that_is_made_while_its_device_is_silent_is_served_when_it_comes(
    world: World,
) -> None:
    device = await world.device()
    await device.connect()
    first = (await device.subscribe())["channelId"]
    device.drop()
    await eventually(device.is_away)
    second = (await device.subscribe(filter={"points": 1}))["channelId"]
    await device.connect()
    (resync,) = await eventually(lambda: device.wire.named("resync"))
    assert sorted(resync["channels"]) == sorted([first, second])
    await world.create(points=1)
    (created,) = await eventually(lambda: device.wire.named("model_created"))
    assert sorted(created["metadata"]["channels"]) == sorted([first, second])


async def test_a_device_that_becomes_persistent_while_connected_keeps_what_it_follows(
    world: World,
) -> None:
    device = await world.device(is_persistent=False)
    await device.connect()
    channel = (await device.subscribe())["channelId"]
    await device.put_push()
    device.drop()
    await eventually(device.is_away)
    await world.create(id="n1")
    await eventually(lambda: device.pushes)
    await device.connect()
    (resync,) = await eventually(lambda: device.wire.named("resync"))
    assert resync["channels"] == [channel]


async def test_what_waits_for_a_device_that_comes_back_is_not_pushed(tmp_path: Path) -> None:
    async with serving(tmp_path, application=QUIET) as world:
        device, other = await world.device(), await world.device()
        await device.subscribe()
        await other.subscribe()
        await world.create()
        await device.connect()
        await world.end_quiet_time(notices=2)
        await eventually(lambda: other.pushes)
        await eventually(lambda: device.wire.named("resync"))
        assert device.pushes == []


async def test_what_was_on_its_way_to_a_connection_that_was_lost_is_pushed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = await world.device()
    await device.connect()
    await device.subscribe()
    gateway = world.nexxus.transports.gateways["websockets"]
    disconnect = world.nexxus.registry.presence.disconnect
    may_go_on = asyncio.Event()

    async def disconnect_when_let(presence: Any) -> None:
        await may_go_on.wait()
        await disconnect(presence)

    monkeypatch.setattr(world.nexxus.registry.presence, "disconnect", disconnect_when_let)
    device.drop()
    deliveries = gateway.figures.deliveries
    await world.create(id="n1", title="In between")
    await eventually(lambda: gateway.figures.deliveries > deliveries)
    assert device.pushes == []
    may_go_on.set()

    (message,) = await eventually(lambda: device.pushes)
    assert (message.data["id"], message.title) == ("n1", "In between")


@pytest.mark.parametrize("orderly", [True, False])
async def test_what_a_dead_peer_was_sent_is_pushed_and_what_an_orderly_one_was_is_not(
    world: World, orderly: bool
) -> None:
    device, other = await world.device(), await world.device()
    await device.connect(wire=PingedFrames())
    await device.subscribe()
    await world.create(id="n1", title="Before a sign of life")
    await eventually(lambda: device.wire.named("model_created"))
    device.connection.heard()
    await world.create(id="n2", title="After it")
    await eventually(lambda: len(device.wire.named("model_created")) == 2)
    if orderly:
        device.connection.closed_by_peer()
    device.drop()
    await eventually(device.is_away)
    await other.subscribe(filter={"points": 3})
    await world.create(id="n3", title="While away", points=3)

    def events() -> int:
        return sum(message.data.get("count", 1) for message in device.pushes)

    await eventually(lambda: other.pushes)
    await eventually(lambda: events() == (1 if orderly else 2))
    assert "n1" not in {message.data["id"] for message in device.pushes}


async def test_a_device_that_left_before_it_was_served_is_told_that_it_missed_something(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nexxus.gateway.devices.absences.RESYNC_WITHIN", 0.0)
    device = await world.device()
    await device.subscribe()
    await device.connect()
    device.drop()
    (message,) = await eventually(lambda: device.pushes)
    assert message == PushMessage({"event": "resync", "channels": []})
